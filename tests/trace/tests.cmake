# SPDX-License-Identifier: MIT
#
# What is seen of a program from outside.

# Pools seen from outside, beside the interrupts of a CPU.
if(TARGET weir_tool)
  add_executable(trace_drained tests/trace/drained.c)
  target_include_directories(trace_drained PRIVATE ${root}/tests)
  target_link_libraries(trace_drained PRIVATE weir_flags weir_static)
  add_test(NAME cli_watch_pools COMMAND bash ${root}/tests/trace/watch.sh
    $<TARGET_FILE:weir_tool> $<TARGET_FILE:trace_drained>)
  set_tests_properties(cli_watch_pools PROPERTIES
    LABELS cli SKIP_RETURN_CODE 77 TIMEOUT 120 PROCESSORS 2)
endif()

# The trace points through bpftrace, in a program linked statically, which
# `bpftrace -c` knows before its first instruction. (Through the kernel's own
# uprobes: tests/vm/trace.c.)
if(WEIR_SANITIZE OR NOT CMAKE_SYSTEM_PROCESSOR STREQUAL "x86_64")
  return()
endif()

add_executable(trace_program tests/trace/program.c
  tests/vm/shared/trace_load.c)
target_include_directories(trace_program PRIVATE
  ${root}/tests ${root}/tests/vm)
target_link_libraries(trace_program PRIVATE weir_flags weir_static)
add_test(NAME trace_bpftrace COMMAND bash ${root}/tests/trace/bpftrace.sh
  $<TARGET_FILE:trace_program> $<TARGET_FILE:weir>)
set_tests_properties(trace_bpftrace PROPERTIES
  LABELS trace SKIP_RETURN_CODE 77 TIMEOUT 120 PROCESSORS 2)
