# SPDX-License-Identifier: MIT
#
# fuzz_pool fuzz_cache fuzz_zone fuzz_parsers: libFuzzer for 30 s each, or for
# WEIR_FUZZ_SECONDS; fuzz_watch for 10 s. Built by clang with the address and undefined sanitizers
# and all assertions, whatever the tree is built with, and in the plain tree
# only. Where clang has no fuzzer, this tree's compiler builds the same
# programs, which then run the corpus and no more.

if(WEIR_SANITIZE OR NOT WEIR_DEBUG STREQUAL "")
  return()
endif()

set(fuzz ${CMAKE_CURRENT_LIST_DIR})
set(fuzz_out ${CMAKE_CURRENT_BINARY_DIR}/fuzz)
file(MAKE_DIRECTORY ${fuzz_out})

# Does a compiler link an empty target with these flags?
function(weir_fuzz_try result compiler)
  file(WRITE ${fuzz_out}/try.c
    "int LLVMFuzzerTestOneInput(const unsigned char *d, unsigned long n);\n"
    "int LLVMFuzzerTestOneInput(const unsigned char *d, unsigned long n)\n"
    "{\n\treturn (int)n & (d == 0);\n}\n")
  execute_process(
    COMMAND ${compiler} ${ARGN} ${fuzz_out}/try.c -o ${fuzz_out}/try
    RESULT_VARIABLE status OUTPUT_QUIET ERROR_QUIET)
  set(${result} ${status} PARENT_SCOPE)
endfunction()

find_program(WEIR_FUZZ_CLANG clang)
mark_as_advanced(WEIR_FUZZ_CLANG)
set(fuzz_failed 1)
set(fuzz_compiler ${WEIR_FUZZ_CLANG})
set(fuzz_flags -fsanitize=fuzzer,address,undefined)
# A model is not what is to be covered, and much faster without.
string(CONCAT fuzz_uncovered "-fno-sanitize-coverage=edge,"
  "inline-8bit-counters,trace-cmp,pc-table,indirect-calls,stack-depth")
set(fuzz_uncompared -fno-sanitize-coverage=trace-cmp)
set(fuzz_sources ${fuzz}/machine.c)
if(WEIR_FUZZ_CLANG)
  weir_fuzz_try(fuzz_failed ${fuzz_compiler} ${fuzz_flags})
endif()
if(NOT fuzz_failed EQUAL 0)
  list(APPEND summary_off
    "fuzzing (apt-get install clang libclang-rt-14-dev), its corpus is run")
  set(fuzz_compiler ${CMAKE_C_COMPILER})
  set(fuzz_uncovered "")
  set(fuzz_uncompared "")
  set(fuzz_flags -fsanitize=address,undefined)
  list(APPEND fuzz_sources ${fuzz}/replay.c)
  weir_fuzz_try(fuzz_failed ${fuzz_compiler} ${fuzz_flags} -shared -fPIC)
  if(NOT fuzz_failed EQUAL 0)
    set(fuzz_flags "")
  endif()
endif()

list(APPEND fuzz_flags -std=gnu11 -g -O2 -fno-omit-frame-pointer
  -fno-sanitize-recover=all -pthread -Wall -Wextra -Wshadow
  -Wstrict-prototypes -Wmissing-prototypes -Wundef)
if(WEIR_WERROR)
  list(APPEND fuzz_flags -Werror)
endif()
set(fuzz_defines -D_GNU_SOURCE -DWI_DEBUG=3 -DWEIR_STAYS_LOADED
  -I${root}/include -I${root}/src -I${root}/tests -I${root}/tools
  -I${root})
set(fuzz_wrapped wi_os_read_file wi_os_read_line wi_os_membarrier_cpu wi_os_current_cpu
  wi_os_bind wi_os_now_ns wi_os_sleep_ns)
list(TRANSFORM fuzz_wrapped PREPEND -Wl,--wrap=)

# Objects of some sources, in ${result}; further arguments are flags.
function(weir_fuzz_objects result sources)
  set(objects "")
  foreach(source IN LISTS sources)
    file(RELATIVE_PATH name ${root} ${source})
    string(REPLACE "/" "_" name ${name})
    set(object ${fuzz_out}/${name}.o)
    add_custom_command(OUTPUT ${object}
      COMMAND ${fuzz_compiler} ${fuzz_flags} ${fuzz_defines} ${ARGN}
        -MD -MT ${object} -MF ${object}.d -c ${source} -o ${object}
      DEPENDS ${source} DEPFILE ${object}.d
      COMMENT "Building fuzz object ${name}.o" VERBATIM)
    list(APPEND objects ${object})
  endforeach()
  set(${result} ${objects} PARENT_SCOPE)
endfunction()

# Operands of comparisons help with texts; elsewhere they cost half the speed.
set(fuzz_hot ${lib_sources})
list(FILTER fuzz_hot EXCLUDE REGEX "/(os|topology)/")
set(fuzz_cold ${lib_sources} ${fuzz_sources})
list(REMOVE_ITEM fuzz_cold ${fuzz_hot})
weir_fuzz_objects(fuzz_library_hot "${fuzz_hot}" ${fuzz_uncompared})
weir_fuzz_objects(fuzz_library_cold "${fuzz_cold}")
set(fuzz_library ${fuzz_library_hot} ${fuzz_library_cold})
weir_fuzz_objects(fuzz_tool "${tool_sources};${bench_sources}"
  -Dmain=weir_tool_main -Wno-missing-prototypes)
# One target makes what all of them link, so that none is made twice at once.
add_custom_target(fuzz_objects DEPENDS ${fuzz_library} ${fuzz_tool})

foreach(name IN ITEMS pool cache zone parsers watch)
  if(NOT EXISTS ${fuzz}/${name}.c)
    continue()
  endif()
  set(program ${fuzz_out}/fuzz_${name})
  set(own_objects "")
  set(own_options "")
  set(own_seconds "")
  if(name STREQUAL "watch")
    set(own_seconds 10)
  endif()
  weir_fuzz_objects(own_objects ${fuzz}/${name}.c ${fuzz_uncovered})
  set(others ${fuzz_library})
  if(name STREQUAL "parsers")
    list(APPEND others ${fuzz_tool})
    set(own_options -Wl,--wrap=open,--wrap=argp_parse
      -Wl,--wrap=argp_error,--wrap=argp_state_help
      -Wl,--wrap=tool_need_json -lm)
  endif()
  add_custom_command(OUTPUT ${program}
    COMMAND ${fuzz_compiler} ${fuzz_flags} ${own_objects} ${others}
      ${fuzz_wrapped} ${own_options} -o ${program}
    DEPENDS ${own_objects} ${others}
    COMMENT "Linking fuzz_${name}" VERBATIM)
  add_custom_target(fuzz_${name} ALL DEPENDS ${program})
  add_dependencies(fuzz_${name} fuzz_objects)
  add_test(NAME fuzz_${name}
    COMMAND ${fuzz}/run ${name} ${program} ${fuzz}/corpus/${name}
      ${fuzz_out}/${name} ${own_seconds})
  set_tests_properties(fuzz_${name} PROPERTIES
    LABELS fuzz SKIP_RETURN_CODE 77 TIMEOUT 36000)
endforeach()
