/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The writers behind report_formats[], a file each. */
#pragma once

#include "model.h"

int report_csv(const struct report *r, struct store *store, const struct report_style *style, struct buf *out,
	struct err *e);
int report_hlog(const struct report *r, struct store *store, const struct report_style *style,
	struct buf *out, struct err *e);

/*
 * hdr.c: a histogram in HdrHistogram's V2 encoding with three significant digits, compressed and in base 64,
 * as its logs hold it ("HISTFAAA…"); malloc'd.
 */
char *report_hdr_text(const struct hist *h);
