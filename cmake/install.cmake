# SPDX-License-Identifier: MIT
#
# Installation: public headers, both libraries, the command with its completion,
# docs/tuning.md and docs/glossary.md, manual pages, a pkg-config file and a
# CMake package.

include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/weir)

install(TARGETS weir weir_static EXPORT weirTargets
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
if(TARGET weir_tool)
  install(TARGETS weir_tool RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
install(DIRECTORY include/weir DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
  FILES_MATCHING PATTERN "*.h")

if(TARGET weir_tool)
  install(FILES tools/completion.bash RENAME weir
    DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
  # Where the command finds what its hints name (tool_tuning()).
  install(FILES docs/tuning.md docs/glossary.md
    DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/weir)
endif()

# A page of section 3 tells of several functions: each other one gets a page
# that leads there, made when the pages change.
file(GLOB man_pages CONFIGURE_DEPENDS docs/man/*.[1-9])
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${man_pages})
foreach(page IN LISTS man_pages)
  string(REGEX MATCH "[1-9]$" section ${page})
  install(FILES ${page} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
  if(NOT section EQUAL 3)
    continue()
  endif()
  get_filename_component(file ${page} NAME)
  file(STRINGS ${page} names REGEX "^\\.Nm weir_")
  foreach(line IN LISTS names)
    string(REGEX MATCH "weir_[a-z0-9_]+" name "${line}")
    set(alias ${CMAKE_CURRENT_BINARY_DIR}/man/${name}.3)
    if(NOT file STREQUAL "${name}.3")
      file(CONFIGURE OUTPUT ${alias} CONTENT ".so man3/${file}\n")
      install(FILES ${alias} DESTINATION ${CMAKE_INSTALL_MANDIR}/man3)
    endif()
  endforeach()
endforeach()

# The libraries' folder as pkg-config wants it: GNUInstallDirs may make it
# absolute.
foreach(dir IN ITEMS LIBDIR INCLUDEDIR)
  if(IS_ABSOLUTE "${CMAKE_INSTALL_${dir}}")
    set(PC_${dir} "${CMAKE_INSTALL_${dir}}")
  else()
    set(PC_${dir} "\${prefix}/${CMAKE_INSTALL_${dir}}")
  endif()
endforeach()
# Written when it is installed, since `cmake --install --prefix` may name
# another prefix than the one configured.
install(CODE "
  set(PROJECT_DESCRIPTION [[${PROJECT_DESCRIPTION}]])
  set(PROJECT_VERSION ${PROJECT_VERSION})
  set(PC_LIBDIR [[${PC_LIBDIR}]])
  set(PC_INCLUDEDIR [[${PC_INCLUDEDIR}]])
  configure_file([[${CMAKE_CURRENT_SOURCE_DIR}/cmake/weir.pc.in]]
    [[${CMAKE_CURRENT_BINARY_DIR}/weir.pc]] @ONLY)")
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/weir.pc
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

configure_package_config_file(cmake/weirConfig.cmake.in weirConfig.cmake
  INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(weirConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/weirConfig.cmake
  ${CMAKE_CURRENT_BINARY_DIR}/weirConfigVersion.cmake
  DESTINATION ${package_dir})
install(EXPORT weirTargets NAMESPACE weir:: DESTINATION ${package_dir})
