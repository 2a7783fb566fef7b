package codegen_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/gotrace/gotrace/probes/kernel"
)

// TestLimits checks that programs beyond a limit of the kernel are refused at the
// position that exceeds it, and that those at the limit compile.
func TestLimits(t *testing.T) {
	k, err := kernel.Frozen("../tests/kernels/6.12.zip")
	if err != nil {
		t.Fatal(err)
	}
	repeat := func(n int, text string) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(strings.ReplaceAll(text, "#", strconv.Itoa(i)))
		}
		return b.String()
	}
	fns := func(n int) string {
		return repeat(n, "fn f#($a : int64) : int64 { return $a + #; }\n") + "begin { $x = (int64)nsecs; " + repeat(n, "$x = f#($x); ") + "print($x); }"
	}
	loops := func(n int) string {
		return "begin { @m[1] = 1; " + repeat(n, "for ($i# : @m) { @n++; } ") + "}"
	}
	nest := func(n int, head string) string {
		return "begin { $n = nsecs; @m[1] = 1; " + repeat(n, head+" { ") + "@n++; " + strings.Repeat("} ", n) + "}"
	}
	const functions = "the program is too large for the kernel: it has 257 functions"
	const depth = "the program is too large for the kernel: functions and loops go deeper than 8 levels"
	for _, c := range []struct{ text, want string }{
		{fns(255), ""},
		{fns(256), functions},
		{loops(255), ""},
		{loops(256), functions},
		{nest(20, "for ($i# : 0..2)"), ""},
		{nest(5, "for ($i# : 0..16)"), ""},
		{nest(7, "for ($i# : 0..$n)"), ""},
		{nest(8, "for ($i# : 0..$n)"), depth},
		{nest(7, "for ($i# : @m)"), ""},
		{nest(8, "for ($i# : @m)"), depth},
	} {
		obj, diags := compile(t, k, c.text, nil)
		var all strings.Builder
		for _, d := range diags.All() {
			all.WriteString(d.Msg + "\n")
		}
		if !strings.Contains(all.String(), c.want) || (c.want == "") != (obj != nil) {
			t.Errorf("%.200s\ngot: %.500s\nwant: %s", c.text, &all, c.want)
		}
	}
}

// TestRefused checks that features missing from an old kernel are reported at the
// position that needs them, with the release that has them.
func TestRefused(t *testing.T) {
	k, err := kernel.Frozen("../tests/kernels/5.10.zip")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ text, want string }{
		{`begin { @a[1] = 1; for ($kv : @a) { print($kv); } }`,
			"stdin:1:20-50: ERROR: for over a map needs Linux 5.13 (bpf_for_each_map_elem), this is 5.10"},
		{`begin { $n = rand; for ($i : 0..$n) { @ = $i; } }`,
			"ERROR: a loop whose number of iterations is not known at compile time needs Linux 5.17 (bpf_loop), this is 5.10"},
		{`begin { for ($i : 0..100000) { @ = $i; } }`,
			"ERROR: a loop of 100000 iterations needs Linux 5.17 (bpf_loop), this is 5.10"},
		{`begin { @a[1] = 1; print(len(@a)); }`,
			"ERROR: len() of a map needs Linux 5.13 (bpf_for_each_map_elem), this is 5.10"},
		{`begin { @a[str(nsecs)] = 1; }`,
			"stdin:1:9-11: WARNING: Strings in the keys of @a are cut to 511 characters: a key of more than 512 bytes needs Linux 5.11 (long keys), this is 5.10"},
		{`begin { @a[str(nsecs), 1, comm] = 1; }`,
			"WARNING: Strings in the keys of @a are cut to 494 characters"},
		{`begin { @a[str(nsecs)] = quantile(1, 50); }`,
			"stdin:1:9-11: WARNING: Strings in the keys of @a are cut to 503 characters: a key of more than 504 bytes needs Linux 5.11 (long keys), this is 5.10"},
		{`fentry:_raw_spin_lock { }`, "ERROR: fentry:_raw_spin_lock would hang the machine"},
		{`fexit:schedule { print(retval); }`, "stdin:1:24-30: ERROR: retval: schedule returns no value"},
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
