/* SPDX-License-Identifier: GPL-3.0-or-later */
/* report: published figures beside those of a run. */
#include "test_report_world.h"

#include "report/reference.h"

#include <math.h>

static const struct report_style plain = {0};

/* --- what is published ------------------------------------------------------------------------- */

static const struct reference *thesis(void)
{
	for (size_t i = 0; i < reference_sets_n; i++)
		if (!strcmp(reference_sets[i].name, "welch2015"))
			return &reference_sets[i];
	fail_msg("there is no welch2015");
	return NULL;
}

static struct reference_cell published(const char *target, const char *attachment, const char *workload)
{
	struct reference_cell cell;

	for (size_t at = 0; reference_next(thesis(), &at, &cell);)
		if (!strcmp(cell.row->target, target) && !strcmp(cell.row->attachment, attachment) &&
			!strcmp(cell.row->workload, workload))
			return cell;
	fail_msg("no figure of %s, %s, %s", target, attachment, workload);
	return cell;
}

/* The figures that the thesis itself names, which counts in percent of the new value. */
static void the_thesis_is_there_with_its_own_percentages(void **state)
{
	static const struct {
		const char *target, *attachment, *workload;
		double change, of_new; /* percent */
		enum reference_direction direction;
	} rows[] = {
		{"vm", "bridge", "tcp_stream", 12.1, 10.8, REFERENCE_UP},
		{"container", "bridge", "tcp_stream", 9.7, 8.9, REFERENCE_UP},
		{"container", "bridge", "tcp_rr", 5.8, 5.5, REFERENCE_UP},
		{"vm", "bridge", "tcp_rr", -21.2, -26.8, REFERENCE_DOWN},
		{"vm", "device", "tcp_rr", 19.8, 16.5, REFERENCE_UP},
		{"container", "device", "tcp_stream", 0, 0, REFERENCE_SAME},
		{"container", "bridge", "udp_rr", -0.1, -0.1, REFERENCE_SAME},
		{"vm", "bridge", "ping", 18.4, 15.6, REFERENCE_UP},
	};
	struct reference_cell cell;
	size_t cells = 0;

	(void)state;
	for (size_t at = 0; reference_next(thesis(), &at, &cell); cells++) {
		assert_string_equal(cell.published.old_name, "stock");
		assert_string_equal(cell.published.new_name, "both");
		assert_non_null(cell.row->workload);
	}
	assert_int_equal(cells, 20);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		cell = published(rows[i].target, rows[i].attachment, rows[i].workload);
		const struct reference_pair *p = &cell.published;
		if (fabs(p->change * 100 - rows[i].change) > 0.06 ||
			fabs(p->change_of_new * 100 - rows[i].of_new) > 0.06 ||
			p->direction != rows[i].direction)
			fail_msg("%s %s %s: %.2f %%, of new %.2f %%, direction %d", rows[i].target,
				rows[i].attachment, rows[i].workload, p->change * 100, p->change_of_new * 100,
				(int)p->direction);
	}
}

/* What the next one must say of them: at the line rate, two groups, interrupt moderation. */
static void limits_and_groups_of_published_figures_are_seen(void **state)
{
	size_t clipped = 0, bimodal = 0, moderated = 0;
	struct reference_cell cell;

	(void)state;
	for (size_t at = 0; reference_next(thesis(), &at, &cell);)
		for (size_t i = 0; i < 2; i++) {
			clipped += cell.clipped[i];
			bimodal += cell.bimodal[i];
			moderated += cell.moderation_of[i] > 0;
		}
	assert_int_equal(
		clipped, 5); /* tcp_stream over devices in both arms, the container's bridge in one */
	assert_true(published("container", "bridge", "tcp_stream").clipped[1]);
	assert_false(published("container", "bridge", "tcp_stream").clipped[0]);
	assert_int_equal(bimodal, 2); /* 44 and 62 µs, 46 and 67 µs */
	assert_true(published("container", "bridge", "tcp_rr").bimodal[0]);
	assert_true(published("vm", "device", "tcp_rr").bimodal[0]);
	assert_int_equal(moderated, 2);
	cell = published("vm", "device", "udp_rr"); /* 8000 interrupts a second */
	assert_true(cell.moderation_of[0] == 1 && cell.moderation_of[1] == 1);
}

/* --- beside a run ------------------------------------------------------------------------------ */

static int64_t begin(struct world *w, const char *reference)
{
	struct store_run run = {.seed = 1, .blocks = 8, .started_ns = 1800000000ull * NS_PER_S};
	json_t *spec = json_pack("{s:s, s:s*}", "name", "beside", "reference", reference);
	json_t *environment = json_pack("{s:s}", "kernel", "6.1.0");

	str_copy(run.name, sizeof(run.name), "beside");
	CHECK(store_run_begin(w->store, &run, spec, environment, &problem));
	json_decref(spec);
	json_decref(environment);
	w->run = run.id;
	return run.id;
}

struct row {
	const char *name, *target, *attachment, *workload, *site;
	const char *arms[2];
	double old, new; /* ns, or Mb/s */
	enum reference_agreement agreement;
	double scatter;       /* of the old arm from block to block */
	const char *baseline; /* an arm before the old one, far from both; NULL: none */
};

static const struct row rows[] = {
	{"container/oci/bridge/tcp_rr", "container", "bridge", "tcp_rr", "local", {"stock", "both"}, 20000,
		30000, REFERENCE_AGREES},
	{"container/oci/bridge/udp_rr", "container", "bridge", "udp_rr", "local", {"stock", "both"}, 20000,
		30000, REFERENCE_DIFFERS},
	{"vm/bridge/virtio/tcp_rr", "vm", "bridge", "tcp_rr", "lab:stock", {"stock", "both"}, 900000, 600000,
		REFERENCE_AGREES},
	{"vm/bridge/virtio/tcp_stream", "vm", "bridge", "tcp_stream", "lab:stock", {"stock", "both"}, 900,
		600, REFERENCE_DIFFERS},
	{"container/oci/bridge/tcp_stream", "container", "bridge", "tcp_stream", "local",
		{"stock", "tuning only"}, 9000, 9100, REFERENCE_OPEN},
	/* The medians are alike, which these trials may be by chance, or not. */
	{"container/oci/bridge/udp_stream", "container", "bridge", "udp_stream", "local", {"stock", "both"},
		2000, 2010, REFERENCE_UNCLEAR, .scatter = 0.2},
	{"container/oci/device/tcp_rr", "container", "device", "tcp_rr", "local", {"stock", "both"}, 20000,
		20100, REFERENCE_DIFFERS},
	/* From the baseline it would be clear; the published change begins at stock. */
	{"vm/bridge/virtio/udp_stream", "vm", "bridge", "udp_stream", "local", {"stock", "both"}, 2000, 3000,
		REFERENCE_UNCLEAR, .scatter = 0.6, .baseline = "tuning only"},
};

static struct settings settings_row(const struct row *row)
{
	struct settings s = settings_of(row->workload, "stock");

	if (!strcmp(row->target, "vm"))
		CHECK(setting_set(&s, "runtime", "", &problem));
	CHECK(setting_set(&s, "target", row->target, &problem));
	CHECK(setting_set(&s, "attachment", row->attachment, &problem));
	if (!strcmp(row->attachment, "device")) {
		CHECK(setting_set(&s, "device", "eth2", &problem));
		CHECK(setting_set(&s, "client_device", "eth3", &problem));
	}
	CHECK(setting_set(&s, "site", row->site, &problem));
	CHECK(settings_check(&s, &problem));
	return s;
}

static void row_add(struct world *w, const struct row *row)
{
	struct settings s = settings_row(row);
	struct store_cell cell = {0};
	struct store_arm arms[3] = {0};
	const char *const names[] = {row->arms[0], row->arms[1], row->baseline};
	const double levels[] = {row->old, row->new, row->old / 3};
	size_t first = row->baseline ? 2 : 0, n = row->baseline ? 3 : 2;

	str_copy(cell.name, sizeof(cell.name), row->name);
	for (size_t i = 0; i < n; i++) {
		str_copy(arms[i].name, sizeof(arms[i].name), names[(i + first) % n]);
		arms[i].baseline = i == 0;
		arms[i].settings = settings_json(&s);
	}
	CHECK(store_cell_add(w->store, w->run, &cell, arms, n, &problem));
	for (uint64_t b = 0; b < 8; b++)
		for (size_t a = 0; a < n; a++) {
			double apart = a == 0 ? (b % 2 ? row->scatter : -row->scatter) : 0;
			double level = levels[a] * (1 + 0.002 * (double)b + apart);
			struct shape shape = {(uint64_t)level, 1, 1, 2000, "unknown"};
			bool stream = workload_find(row->workload)->stream;
			struct trial_record *t =
				stream ? stream_record(&s, level * 1e6, b) : rr_record(&s, &shape, b);
			if (!strcmp(row->target, "vm"))
				str_copy(t->guest.accel, sizeof(t->guest.accel), "tcg");
			trial_add(w, cell.id, names[a], b, t);
		}
	for (size_t i = 0; i < n; i++)
		json_decref(arms[i].settings);
}

static void skipped_add(struct world *w)
{
	const struct row row = {
		.target = "vm", .attachment = "bridge", .workload = "udp_rr", .site = "local"};
	struct settings s = settings_row(&row);
	struct store_cell cell = {
		.name = "vm/bridge/vhost/udp_rr", .skipped = true, .reason = "no /dev/vhost-net"};
	struct store_arm arms[2] = {{.name = "stock", .baseline = true}, {.name = "both"}};

	arms[0].settings = arms[1].settings = settings_json(&s);
	CHECK(store_cell_add(w->store, w->run, &cell, arms, 2, &problem));
	json_decref(arms[0].settings);
}

static struct report *report_of(struct world *w, const char *reference)
{
	struct report *r = NULL;

	begin(w, reference);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		row_add(w, &rows[i]);
	skipped_add(w);
	CHECK(store_run_end(w->store, w->run, "done", &problem));
	CHECK(report_load(&r, w->store, w->run, NULL, &problem));
	return r;
}

static void measured_directions_are_held_against_the_published_ones(void **state)
{
	struct world *w = *state;
	AUTO(auto_report) struct report *r = report_of(w, "welch2015");

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct reference_cell cell = published(rows[i].target, rows[i].attachment, rows[i].workload);
		struct reference_match m;
		size_t n = 0;
		for (size_t c = 0; c < r->cells_n; c++) {
			if (!reference_match(&cell, &r->cells[c], &m))
				continue;
			n++;
			assert_string_equal(m.cell->cell.name, rows[i].name);
			assert_int_equal(m.agreement, rows[i].agreement);
			assert_int_equal(m.lab, strcmp(rows[i].site, "local") != 0);
			assert_int_equal(m.emulated, !strcmp(rows[i].target, "vm"));
			assert_int_equal(m.trials, strcmp(rows[i].arms[1], "both") ? 8 : 16);
			assert_true(m.measured.old.min <= m.measured.old.q1 &&
				    m.measured.old.q1 < m.measured.old.median &&
				    m.measured.old.median < m.measured.old.q3);
		}
		assert_int_equal(n, 1);
	}
}

static void a_report_has_the_published_figures_beside_its_own(void **state)
{
	struct world *w = *state;
	AUTO(auto_report) struct report *r = report_of(w, "welch2015");
	AUTO(buf_free) struct buf b = {0};

	report_terminal(r, &plain, &b);
	const char *begin = strstr(b.data, "published figures beside");
	assert_non_null(begin);
	reads(&b,
		"2 of 7 directions that can be compared agree, 3 differ, 2 are unclear; 20 figures are published.");
	reads(&b, "MSc thesis, Arizona State University, 2015");
	says(&b, "  container, bridge, tcp_rr: mean round trip of a trial, µs\n");
	reads(&b, "published 44.6 [44.3–62.3] 47.1 [47.1–47.3] +5.8 % +5.5 %");
	reads(&b, "published stock: bimodal");
	reads(&b, "virtio, lab 908 [905–912] 606 [604–608] −33.3 % −50.0 % agrees");
	reads(&b, "virtio, here, emulated 2");
	reads(&b,
		"published stock and both: 1 × 125.0 µs, the period of the interrupt moderation of its NIC (8000 interrupts a second)");
	reads(&b, "published stock and both: at the line rate");
	says(&b, "    skipped   vm/bridge/vhost/udp_rr (why is said below)\n");
	says(&b, "nothing was measured beside it");
	if (widest(begin) > 100)
		fail_msg("%zu columns", widest(begin));
}

static void json_has_them_and_null_where_none_are_wanted(void **state)
{
	struct world *w = *state;
	AUTO(auto_report) struct report *r = report_of(w, "welch2015");
	json_t *o = report_json(r), *all = json_object_get(o, "reference"), *cell;
	size_t i, measured = 0;

	has_keys(all, "name title setting boxes cells");
	assert_int_equal(json_array_size(json_object_get(all, "cells")), 20);
	json_array_foreach (json_object_get(all, "cells"), i, cell) {
		has_keys(cell, "workload target attachment quantity published measured");
		has_keys(json_object_get(cell, "published"),
			"arms change change_of_new direction line_rate bimodal moderated");
		json_t *beside = json_object_get(cell, "measured");
		measured += json_array_size(beside);
		if (json_array_size(beside))
			has_keys(json_array_get(beside, 0),
				"arms change change_of_new direction cell trials emulated agreement");
	}
	assert_int_equal(measured, ARRAY_LEN(rows));
	json_decref(o);

	AUTO(auto_report) struct report *none = report_of(w, NULL);
	AUTO(buf_free) struct buf b = {0};
	o = report_json(none);
	assert_true(json_is_null(json_object_get(o, "reference")));
	json_decref(o);
	report_terminal(none, &plain, &b);
	says_not(&b, "published");
}

static void a_set_that_is_not_there_is_a_mistake(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(report_reference_check("welch2015", &e), 0);
	assert_int_equal(report_reference_check("", &e), 0);
	assert_int_equal(report_reference_check("moon", &e), -EINVAL);
	assert_int_equal(e.exit, EXIT_USAGE);
	assert_non_null(strstr(e.text, "it is welch2015"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_thesis_is_there_with_its_own_percentages),
		cmocka_unit_test(limits_and_groups_of_published_figures_are_seen),
		cmocka_unit_test_setup_teardown(
			measured_directions_are_held_against_the_published_ones, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_report_has_the_published_figures_beside_its_own, setup, teardown),
		cmocka_unit_test_setup_teardown(
			json_has_them_and_null_where_none_are_wanted, setup, teardown),
		cmocka_unit_test(a_set_that_is_not_there_is_a_mistake),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
