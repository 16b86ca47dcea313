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

weir_prove(models 900 2 ${root}/models/run --long -j 2)
weir_prove(pool_torture 400 2 $<TARGET_FILE:stress_pool_torture> 90)
weir_prove(range_torture 200 2 $<TARGET_FILE:stress_range_torture> 60)
weir_prove(cache_torture 200 2 $<TARGET_FILE:stress_cache_torture> 60)
weir_prove(fault_membarrier 200 1 $<TARGET_FILE:fault_membarrier_fails> 30)
weir_prove(fault_options 200 1 $<TARGET_FILE:fault_hostile_options> 20000)
weir_prove(fault_processes 200 1 $<TARGET_FILE:fault_processes> 200)
weir_prove(fault_watch 200 1 $<TARGET_FILE:fault_watch_hostile> 60)
weir_prove(fault_signals 200 1 $<TARGET_FILE:fault_signals> 50)
if(TARGET interleave)
  weir_prove(interleave 300 1 $<TARGET_FILE:interleave> 120)
  weir_prove(interleave_mutants 1500 1 ${root}/tests/interleave/mutants)
endif()
if(TARGET step_step)
  weir_prove(step 1800 2 $<TARGET_FILE:step_step> 80)
  weir_prove(step_mutants 1200 2 ${root}/tests/step/mutants)
endif()
if(TEST toolchain)
  weir_prove(toolchain 3000 2 ${root}/tests/toolchain/run --long
    --build ${CMAKE_CURRENT_BINARY_DIR})
endif()
weir_prove(install 300 2 ${root}/scripts/check-install
  ${CMAKE_CURRENT_BINARY_DIR})
weir_prove(abi 300 1 ${root}/tests/abi/mutants)
weir_prove(deb 600 2 ${root}/tests/deb/run ${CMAKE_CURRENT_BINARY_DIR})
# They write into the tree: build/weir.pc, install_manifest.txt.
set_tests_properties(prove_install prove_deb PROPERTIES RESOURCE_LOCK install)
weir_prove(tidy 600 1 ${root}/scripts/check-tools tidy)
weir_prove(valgrind 600 1 ${root}/scripts/check-tools valgrind
  ${CMAKE_CURRENT_BINARY_DIR})
foreach(name IN ITEMS pool cache zone parsers watch)
  if(TARGET fuzz_${name})
    weir_prove(fuzz_${name} 600 1 ${root}/tests/fuzz/run ${name}
      ${fuzz_out}/fuzz_${name} ${root}/tests/fuzz/corpus/${name}
      ${fuzz_out}/${name} 120)
  endif()
endforeach()
foreach(test IN LISTS vm_long) # of tests/vm
  weir_prove(vm_${test} 2400 2 ${vm_command_${test}})
endforeach()
