package codegen_test

import (
	"strings"
	"testing"

	"github.com/gotrace/gotrace/probes/kernel"
)

// TestRefused checks that what an old kernel cannot do is reported at the place
// that needs it, with the release that can.
func TestRefused(t *testing.T) {
	k, err := kernel.Frozen("../tests/kernels/5.10.zip")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ text, want string }{
		{`begin { @a[1] = 1; for ($kv : @a) { print($kv); } }`,
			"stdin:1:20-50: ERROR: for over a map needs Linux 5.13 (bpf_for_each_map_elem), this is 5.10"},
		{`begin { $n = rand; for ($i : 0..$n) { @ = $i; } }`,
			"ERROR: a loop whose number of turns is not known when compiling needs Linux 5.17 (bpf_loop), this is 5.10"},
		{`begin { for ($i : 0..100000) { @ = $i; } }`,
			"ERROR: a loop of 100000 turns needs Linux 5.17 (bpf_loop), this is 5.10"},
		{`begin { @c = count(); if (@c > 5) { exit(); } }`,
			"ERROR: reading @c in an expression needs Linux 5.19 (bpf_map_lookup_percpu_elem), this is 5.10"},
		{`begin { @a[1] = 1; print(len(@a)); }`,
			"ERROR: len() of a map needs Linux 5.13 (bpf_for_each_map_elem), this is 5.10"},
		{`begin { @a[str(nsecs)] = 1; }`,
			"stdin:1:9-11: WARNING: Strings in the keys of @a are cut to 511 characters: before Linux 5.11 a key has at most 512 bytes, this is 5.10"},
		{`begin { @a[str(nsecs), 1, comm] = 1; }`,
			"WARNING: Strings in the keys of @a are cut to 494 characters"},
		{`fentry:_raw_spin_lock { }`, "ERROR: fentry:_raw_spin_lock would hang the machine"},
		{`fexit:bpf_get_smp_processor_id { }`, "ERROR: fexit:bpf_get_smp_processor_id would hang the machine"},
		{`fentry:vmlinux:migrate_disable { }`, "ERROR: fentry:migrate_disable would hang the machine"},
	} {
		obj, diags := compile(t, k, c.text, nil)
		var all strings.Builder
		for _, d := range diags.All() {
			all.WriteString(d.Render())
		}
		if !strings.Contains(all.String(), c.want) {
			t.Errorf("%s\ngot:\n%swant: %s", c.text, &all, c.want)
		}
		if failed := strings.Contains(c.want, "ERROR"); failed != (obj == nil) {
			t.Errorf("%s: compiled %t", c.text, obj != nil)
		}
	}
}
