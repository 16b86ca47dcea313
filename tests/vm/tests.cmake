# SPDX-License-Identifier: MIT
#
# Tests in a virtual machine, see tests/vm/README.md. Each file of scenarios/
# is a boot and a test, vm_<file>, and once more for each further kernel that it
# names, vm_<file>_<kernel>. Programs are static: the guest has no libraries.
# Only the tree of gcc without sanitizers has them.

if(CMAKE_C_COMPILER_ID STREQUAL "GNU" AND NOT WEIR_SANITIZE
    AND CMAKE_SYSTEM_PROCESSOR STREQUAL "x86_64")
  set(vm ${root}/tests/vm)
  set(vm_bin ${CMAKE_CURRENT_BINARY_DIR}/vm/bin)

  function(vm_program name)
    add_executable(vm_${name} ${ARGN})
    set_target_properties(vm_${name} PROPERTIES
      OUTPUT_NAME ${name} RUNTIME_OUTPUT_DIRECTORY ${vm_bin})
    target_include_directories(vm_${name} PRIVATE
      ${vm} ${root}/tests ${root}/tools ${root}/src ${root})
    target_link_libraries(vm_${name} PRIVATE weir_flags weir_static m)
    target_link_options(vm_${name} PRIVATE -static)
  endfunction()

  # What several programs use; and the sources of tools/ they borrow.
  file(GLOB vm_shared CONFIGURE_DEPENDS ${vm}/shared/*.c)
  add_library(vm_shared OBJECT ${vm_shared} ${root}/tools/common/interrupts.c)
  target_include_directories(vm_shared PRIVATE
    ${vm} ${root}/tests ${root}/tools ${root}/src)
  target_link_libraries(vm_shared PRIVATE weir_flags weir_static)

  file(GLOB vm_sources CONFIGURE_DEPENDS ${vm}/*.c)
  foreach(source IN LISTS vm_sources)
    get_filename_component(name ${source} NAME_WE)
    vm_program(${name} ${source} $<TARGET_OBJECTS:vm_shared>)
  endforeach()
  weir_inject(vm_hotplug vm_move vm_numa vm_rt)
  # What it calls is counted: see there.
  target_link_options(vm_numa PRIVATE
    -Wl,--wrap=weir_alloc,--wrap=weir_free
    -Wl,--wrap=weir_alloc_bulk,--wrap=weir_free_bulk)
  if(TARGET weir_tool)
    vm_program(weir ${tool_sources} ${bench_sources})
  endif()

  # Here as well, where the kernel lets this user set uprobes.
  add_test(NAME trace_uprobes COMMAND vm_trace)
  set_tests_properties(trace_uprobes PROPERTIES
    LABELS trace SKIP_RETURN_CODE 77 TIMEOUT 60 PROCESSORS 2)

  # The words of a scenario's line, "kernels 6.1 6.12".
  function(vm_words result scenario name)
    file(STRINGS ${scenario} line REGEX "^${name} ")
    string(REGEX REPLACE "^${name} +" "" line "${line}")
    separate_arguments(line)
    set(${result} ${line} PARENT_SCOPE)
  endfunction()

  # vm_quick and vm_long (for `make prove`): names of tests without vm_, each
  # with its command in vm_command_<name>.
  set(vm_quick)
  set(vm_long)
  file(GLOB scenarios CONFIGURE_DEPENDS ${vm}/scenarios/*)
  # For their lines "kernels".
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${scenarios})
  foreach(scenario IN LISTS scenarios)
    get_filename_component(name ${scenario} NAME)
    vm_words(quick ${scenario} kernels)
    vm_words(more ${scenario} prove-kernels)
    set(first "none")
    if(quick)
      list(GET quick 0 first)
    endif()
    foreach(kernel IN LISTS quick more)
      set(test ${name}_${kernel})
      if(kernel STREQUAL first)
        set(test ${name})
      endif()
      set(vm_command_${test} ${vm}/run --build ${CMAKE_CURRENT_BINARY_DIR}
        --kernel ${kernel} --scenario ${scenario})
      list(APPEND vm_long ${test})
      if(kernel IN_LIST quick)
        list(APPEND vm_quick ${test})
      endif()
    endforeach()
  endforeach()
  foreach(test IN LISTS vm_quick)
    add_test(NAME vm_${test} COMMAND ${vm_command_${test}})
    # The runner has a time limit of its own; this is for a download.
    set_tests_properties(vm_${test} PROPERTIES
      LABELS vm SKIP_RETURN_CODE 77 TIMEOUT 2400 PROCESSORS 2)
  endforeach()
endif()
