# SPDX-License-Identifier: MIT
#
# A command for tests of other folders, that runs a program without rseq; and
# who registers rseq: not under sanitizers, which preload libraries of their own.
add_executable(rseq_refuse tests/rseq/refuse.c)
target_include_directories(rseq_refuse PRIVATE tests)
target_link_libraries(rseq_refuse PRIVATE weir_flags)
if(NOT WEIR_SANITIZE)
  foreach(owner IN ITEMS rseq_owner rseq_hidden_owner)
    add_library(${owner} SHARED tests/rseq/owner.c)
    target_link_libraries(${owner} PRIVATE weir_flags)
  endforeach()
  target_compile_definitions(rseq_hidden_owner PRIVATE RSEQ_HIDDEN)
  add_library(rseq_plugin MODULE tests/rseq/plugin.c)
  target_link_libraries(rseq_plugin PRIVATE weir_flags weir_static)
  target_link_options(rseq_plugin PRIVATE -Wl,--exclude-libs,ALL)
  add_executable(rseq_host tests/rseq/host.c)
  target_link_libraries(rseq_host PRIVATE weir_flags ${CMAKE_DL_LIBS})
  add_executable(rseq_owners tests/rseq/owners.c)
  target_include_directories(rseq_owners PRIVATE tests src)
  target_compile_definitions(rseq_owners PRIVATE
    OWNER="$<TARGET_FILE:rseq_owner>"
    HIDDEN_OWNER="$<TARGET_FILE:rseq_hidden_owner>"
    PLUGIN="$<TARGET_FILE:rseq_plugin>"
    HOST="$<TARGET_FILE:rseq_host>")
  target_link_libraries(rseq_owners PRIVATE weir_flags weir_static)
  add_dependencies(rseq_owners rseq_owner rseq_hidden_owner rseq_plugin
    rseq_host)
  add_test(NAME rseq_owners COMMAND rseq_owners)
  set_tests_properties(rseq_owners PROPERTIES
    LABELS rseq SKIP_RETURN_CODE 77 TIMEOUT 120 PROCESSORS 2)
  add_test(NAME rseq_musl
    COMMAND bash tests/rseq/musl.sh WORKING_DIRECTORY ${root})
  set_tests_properties(rseq_musl PROPERTIES
    LABELS rseq SKIP_RETURN_CODE 77 TIMEOUT 240)
endif()
