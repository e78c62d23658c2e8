/* settings_table.h - the tables behind settings.h, for settings.c and settings_print.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_CONF_SETTINGS_TABLE_H
#define TANDEM_CONF_SETTINGS_TABLE_H

#include "conf/settings.h"

extern const struct conf_table settings_table;
extern const struct conf_table settings_standby_table;

/* The one standby of the shipped file. */
#define SETTINGS_DEFAULT_NAME "b"
#define SETTINGS_DEFAULT_URL "http://127.0.0.1:9212"
#define SETTINGS_DEFAULT_STANDBYS                                                                  \
    "standbys: [{name: " SETTINGS_DEFAULT_NAME ", urls: ['" SETTINGS_DEFAULT_URL "']}]\n"

#endif
