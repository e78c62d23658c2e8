/* wire.h - the words that proxy and replicator exchange over the Unix socket in the journal's folder.
 *
 * One line each, words separated by one space, numbers in decimal, ended by '\n'. Nothing depends on their arrival: a replicator also looks at
 * the journal by itself, and a proxy keeps records until a checkpoint says that they may go.
 *
 *     replicator -> proxy   STANDBY <name>       first line: who it is
 *                           CHECKPOINT <seq>     everything up to seq is on the standby
 *                           MARK                 asks for a mark behind all that is open now
 *     proxy -> replicator   RECORDS <seq>        seq is durable
 *                           MARK <number>        the mark asked for has this number
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_JOURNAL_WIRE_H
#define TANDEM_JOURNAL_WIRE_H

#define WIRE_SOCKET "proxy.sock"
#define WIRE_LINE_MAX 300

#define WIRE_STANDBY "STANDBY "
#define WIRE_CHECKPOINT "CHECKPOINT "
#define WIRE_MARK_ASKED "MARK"
#define WIRE_RECORDS "RECORDS "
#define WIRE_MARK "MARK "

#endif
