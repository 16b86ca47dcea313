# SPDX-License-Identifier: MIT
#
# The long forms, for scripts/prove: the same programs as in the quick tests,
# given more time or more cases. Each prints `figures: ` and what it counted,
# as the last line when it succeeds. The longest come first, so that two at a
# time end together.

# weir_prove(NAME SECONDS-AT-MOST PROCESSORS COMMAND...)
function(weir_prove name timeout processors)
  add_test(NAME prove_${name} COMMAND ${ARGN} WORKING_DIRECTORY ${root})
  set_tests_properties(prove_${name} PROPERTIES LABELS prove
    SKIP_RETURN_CODE 77 TIMEOUT ${timeout} PROCESSORS ${processors}
    ENVIRONMENT WEIR_PROVE=1)
endfunction()

weir_prove(models 900 2 ${root}/models/run --all -j 2)
weir_prove(pool_torture 400 2 $<TARGET_FILE:stress_pool_torture> 180)
weir_prove(cache_torture 200 2 $<TARGET_FILE:stress_cache_torture> 60)
