# install.cmake - the configuration and the systemd units, at the time of `cmake --install`.
#
# With the prefix /usr the configuration goes to /etc, otherwise below the prefix. An operator's own settings are never
# overwritten: a file that is there stays, and the shipped one lies beside it.
set(TANDEM_BIN "${CMAKE_INSTALL_PREFIX}/${TANDEM_BIN}")
set(TANDEM_ETC "${CMAKE_INSTALL_PREFIX}/etc/tandem")
if(CMAKE_INSTALL_PREFIX STREQUAL "/usr")
  set(TANDEM_ETC /etc/tandem)
endif()
set(root "$ENV{DESTDIR}")

if(EXISTS "${root}${TANDEM_ETC}/tandem.yml")
  configure_file("${TANDEM_CONF}/tandem.yml" "${root}${TANDEM_ETC}/tandem.yml.new" COPYONLY)
  message(STATUS "Kept: ${root}${TANDEM_ETC}/tandem.yml (the shipped one is tandem.yml.new)")
else()
  configure_file("${TANDEM_CONF}/tandem.yml" "${root}${TANDEM_ETC}/tandem.yml" COPYONLY)
  message(STATUS "Installing: ${root}${TANDEM_ETC}/tandem.yml")
endif()

# Both units share one list of what the programs may not do.
file(READ "${TANDEM_CONF}/systemd/hardening.conf" TANDEM_HARDENING)
foreach(unit tandem-proxy.service tandem-replicator@.service)
  set(to "${root}${CMAKE_INSTALL_PREFIX}/lib/systemd/system/${unit}")
  configure_file("${TANDEM_CONF}/systemd/${unit}" "${to}" @ONLY)
  message(STATUS "Installing: ${to}")
endforeach()
