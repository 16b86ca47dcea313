# SPDX-License-Identifier: MIT
#
# In the tree of ThreadSanitizer: it sees a race and none where there is none;
# and the torture without rseq, which has real sequences in the other tests.
if(WEIR_SANITIZE MATCHES "thread")
  add_executable(tsan_race tests/tsan/race.c)
  target_include_directories(tsan_race PRIVATE tests)
  target_link_libraries(tsan_race PRIVATE weir_flags weir_static)
  add_test(NAME tsan_race COMMAND tsan_race)
  add_test(NAME tsan_race_seen COMMAND tsan_race late)
  set_tests_properties(tsan_race_seen PROPERTIES
    PASS_REGULAR_EXPRESSION "data race;skipped: ")
  foreach(torture IN ITEMS pool_torture cache_torture)
    add_test(NAME tsan_locked_${torture} 
      COMMAND rseq_refuse $<TARGET_FILE:stress_${torture}> 5)
    set_tests_properties(tsan_locked_${torture} PROPERTIES
      PROCESSORS 2)
  endforeach()
  set_tests_properties(tsan_race tsan_race_seen tsan_locked_pool_torture
    tsan_locked_cache_torture PROPERTIES
    LABELS stress SKIP_RETURN_CODE 77 TIMEOUT 240)
endif()
