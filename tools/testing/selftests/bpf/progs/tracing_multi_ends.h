/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __TRACING_MULTI_ENDS_H
#define __TRACING_MULTI_ENDS_H

#define ENDS_MAX	64	/* tasks */
#define ENDS_DEPTH	32	/* return addresses on the stack of each */

#endif
