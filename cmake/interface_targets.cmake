# Binary packages that were built elsewhere, such as the ROS 2 wheels of the Python package index, export include
# directories of the machine they were built on; CMake refuses to generate when such a directory does not exist.
# This drops every missing directory from the imported targets of the calling directory and gives the target the
# Python headers of the interpreter in use instead, which is what those directories held.
# On an ordinary ROS 2 installation nothing is missing and nothing changes.
function(drop_missing_include_directories)
  get_property(imported DIRECTORY PROPERTY IMPORTED_TARGETS)
  foreach(target IN LISTS imported)
    get_target_property(directories ${target} INTERFACE_INCLUDE_DIRECTORIES)
    if(NOT directories)
      continue()
    endif()
    set(present ${directories})
    foreach(directory IN LISTS directories)
      if(IS_ABSOLUTE "${directory}" AND NOT EXISTS "${directory}")
        list(REMOVE_ITEM present "${directory}")
      endif()
    endforeach()
    if(NOT present STREQUAL directories)
      set_target_properties(${target} PROPERTIES
        INTERFACE_INCLUDE_DIRECTORIES "${present};${Python3_INCLUDE_DIRS}")
    endif()
  endforeach()
endfunction()

# The generated Python library exports the include directory of the NumPy in use.  Where the virtual environment lies
# inside the checkout (.venv, as `make setup` makes it) CMake takes that for a path of the source tree in an exported
# target and stops.  Nobody compiles against that library, so its absolute directories are for this build only.
function(keep_environment_out_of_export target)
  get_target_property(directories ${target} INTERFACE_INCLUDE_DIRECTORIES)
  set(local "")
  foreach(directory IN LISTS directories)
    if(IS_ABSOLUTE "${directory}")
      set(directory "$<BUILD_INTERFACE:${directory}>")
    endif()
    list(APPEND local "${directory}")
  endforeach()
  set_target_properties(${target} PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${local}")
endfunction()
