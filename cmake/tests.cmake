# SPDX-License-Identifier: MIT
#
# Tests, by label:
#   unit death stress fault
#                       programs of tests/<label>/*.c, against the library's
#                       internals
#   interleave step fuzz vm toolchain
#                       folders of tests/ with a tests.cmake of their own
#   cli                 tests/cli/*.sh, given the path of the weir command
#   example             examples/*.c, against the public headers only
#   header              each public header alone, as C and as C++
#   tree                scripts that look at the sources; models
# Exit status 77 means skipped; the reason is in the output.

set(root ${CMAKE_CURRENT_SOURCE_DIR})

function(weir_add_programs label timeout)
  file(GLOB sources CONFIGURE_DEPENDS ${root}/tests/${label}/*.c)
  foreach(source IN LISTS sources)
    get_filename_component(file ${source} NAME_WE)
    set(name ${label}_${file})
    add_executable(${name} ${source})
    target_include_directories(${name} PRIVATE ${root}/tests ${root}/src)
    target_compile_definitions(${name} PRIVATE
      WEIR_FIXTURES="${root}/tests/fixtures")
    target_link_libraries(${name} PRIVATE weir_flags weir_static m)
    add_test(NAME ${name} COMMAND ${name})
    set_tests_properties(${name} PROPERTIES
      LABELS ${label} SKIP_RETURN_CODE 77 TIMEOUT ${timeout})
    if(label STREQUAL "stress") # it takes every CPU it finds
      set_tests_properties(${name} PROPERTIES PROCESSORS 2)
    endif()
  endforeach()
endfunction()

weir_add_programs(unit 120)
if(TARGET unit_bench_report)
  target_sources(unit_bench_report PRIVATE ${root}/tools/bench/print.c
    ${root}/tools/bench/report.c ${root}/tools/common/measure.c)
  target_include_directories(unit_bench_report PRIVATE ${root}/tools)
endif()
weir_add_programs(death 120)
weir_add_programs(stress 240)
weir_add_programs(fault 120)
# It changes how many huge pages the system has.
set_tests_properties(fault_hugetlb_limits PROPERTIES RUN_SERIAL ON)
if(WEIR_SANITIZE MATCHES "thread") # half a minute, for programs of one thread
  set_tests_properties(unit_zone_orders unit_zone_hints unit_zone_fragments
    PROPERTIES LABELS sequential)
endif()

# Folders whose programs are built in a way of their own.
file(GLOB folders CONFIGURE_DEPENDS tests/*/tests.cmake)
foreach(folder IN LISTS folders)
  include(${folder})
endforeach()

file(GLOB examples CONFIGURE_DEPENDS examples/*.c)
find_package(PkgConfig QUIET)
if(PKG_CONFIG_FOUND)
  pkg_check_modules(LIBURING QUIET IMPORTED_TARGET liburing)
endif()
if(NOT LIBURING_FOUND)
  list(REMOVE_ITEM examples ${root}/examples/uring_loop.c)
  list(APPEND summary_off "examples/uring_loop.c (apt-get install liburing-dev)")
endif()
foreach(source IN LISTS examples)
  get_filename_component(file ${source} NAME_WE)
  set(name example_${file})
  add_executable(${name} ${source})
  target_link_libraries(${name} PRIVATE weir_flags weir)
  if(file STREQUAL "uring_loop")
    target_link_libraries(${name} PRIVATE PkgConfig::LIBURING)
  endif()
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES
    LABELS example SKIP_RETURN_CODE 77 TIMEOUT 120)
endforeach()

if(TARGET weir_tool)
  file(GLOB scripts CONFIGURE_DEPENDS tests/cli/*.sh)
  foreach(script IN LISTS scripts)
    get_filename_component(file ${script} NAME_WE)
    add_test(NAME cli_${file}
      COMMAND bash ${script} $<TARGET_FILE:weir_tool>)
    set_tests_properties(cli_${file} PROPERTIES
      LABELS cli SKIP_RETURN_CODE 77 TIMEOUT 300)
  endforeach()
endif()

# Each public header must compile alone, whoever includes it.
check_language(CXX)
if(CMAKE_CXX_COMPILER)
  enable_language(CXX)
else()
  list(APPEND summary_off
    "public headers compiled as C++ (apt-get install g++)")
endif()
file(GLOB headers CONFIGURE_DEPENDS include/weir/*.h)
foreach(header IN LISTS headers)
  get_filename_component(file ${header} NAME)
  get_filename_component(name ${header} NAME_WE)
  add_test(NAME header_c_${name} COMMAND ${root}/scripts/check-header
    ${file} ${CMAKE_C_COMPILER} -x c -std=c11)
  set_tests_properties(header_c_${name} PROPERTIES LABELS header TIMEOUT 60)
  if(CMAKE_CXX_COMPILER)
    add_test(NAME header_cxx_${name} COMMAND ${root}/scripts/check-header
      ${file} ${CMAKE_CXX_COMPILER} -x c++ -std=c++17)
    set_tests_properties(header_cxx_${name} PROPERTIES LABELS header TIMEOUT 60)
  endif()
endforeach()

# The sources themselves.
foreach(check IN ITEMS labels names docs format golden)
  add_test(NAME tree_${check} COMMAND ${root}/scripts/check-${check}
    WORKING_DIRECTORY ${root})
  set_tests_properties(tree_${check} PROPERTIES
    LABELS tree SKIP_RETURN_CODE 77 TIMEOUT 60)
endforeach()
# Of the objects, too.
add_test(NAME tree_includes COMMAND ${root}/scripts/check-includes
  ${CMAKE_CURRENT_BINARY_DIR} WORKING_DIRECTORY ${root})
set_tests_properties(tree_includes PROPERTIES LABELS tree TIMEOUT 120)
# With the command, its options too.
set(man_tool)
if(TARGET weir_tool)
  set(man_tool $<TARGET_FILE:weir_tool>)
endif()
add_test(NAME tree_man COMMAND ${root}/scripts/check-man ${man_tool}
  WORKING_DIRECTORY ${root})
set_tests_properties(tree_man PROPERTIES
  LABELS tree SKIP_RETURN_CODE 77 TIMEOUT 120)
# What others' tools find; clang-tidy and all programs under valgrind take
# longer, and stand in prove.cmake.
if(NOT WEIR_SANITIZE)
  foreach(tool IN ITEMS analyzer cppcheck memcheck)
    add_test(NAME tree_${tool} COMMAND ${root}/scripts/check-tools ${tool}
      ${CMAKE_CURRENT_BINARY_DIR} WORKING_DIRECTORY ${root})
    set_tests_properties(tree_${tool} PROPERTIES
      LABELS tree SKIP_RETURN_CODE 77 TIMEOUT 240)
  endforeach()
endif()
# What `make install` leaves behind, as its users use it.
add_test(NAME tree_install COMMAND ${root}/scripts/check-install
  ${CMAKE_CURRENT_BINARY_DIR} WORKING_DIRECTORY ${root})
set_tests_properties(tree_install PROPERTIES # as it writes into the tree
  LABELS tree SKIP_RETURN_CODE 77 TIMEOUT 300 RESOURCE_LOCK install)
file(GLOB models_run CONFIGURE_DEPENDS models/run)
if(models_run)
  add_test(NAME tree_models COMMAND ${models_run} --quick -j 2
    WORKING_DIRECTORY ${root})
  set_tests_properties(tree_models PROPERTIES
    LABELS tree SKIP_RETURN_CODE 77 TIMEOUT 600)
endif()
if(WEIR_PROVE)
  include(cmake/prove.cmake)
endif()
