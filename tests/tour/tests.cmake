# SPDX-License-Identifier: MIT
#
# Every command that looks at running processes, against one that works, one
# that destroys its pools and one that is killed.
if(TARGET weir_tool)
  add_executable(tour_load tests/tour/load.c)
  target_link_libraries(tour_load PRIVATE weir_flags weir_static)
  add_test(NAME tour COMMAND bash ${root}/tests/tour/tour
    $<TARGET_FILE:weir_tool> $<TARGET_FILE:tour_load>)
  set_tests_properties(tour PROPERTIES
    LABELS cli SKIP_RETURN_CODE 77 TIMEOUT 240 PROCESSORS 2)
endif()
