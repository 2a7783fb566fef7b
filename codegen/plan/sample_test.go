package plan_test

import (
	"testing"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/codegen"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/probes"
)

// TestSample checks which programs can be sampled.
func TestSample(t *testing.T) {
	k, err := frozen()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		text string
		want bool
	}{
		{`@n = count();`, true},
		{`@n = count(); @s[comm, pid] = sum(arg2); @a = avg(arg2); @st = stats(arg2); @h = hist(arg2); @l = lhist(arg2, 0, 10, 1);`, true},
		{`@n[kstack, ustack] = count();`, true},
		{`if (arg2 > 3) { $x = arg2 * 2; @n = sum($x); } else { return; }`, true},
		{`for ($i : 0..3) { @n[$i] = count(); } $i = 0; while ($i < 3) { $i++; } unroll(2) { @m = count(); }`, true},
		{`if (@on) { @n = count(); }`, true},
		{`if (has_key(@keys, pid)) { @n = count(); }`, true},
		{`@n[str(arg1)] = count();`, true},
		{`@n = sum(twice(arg2));`, true},
		{`@n = min(arg2);`, false},
		{`@n = max(arg2);`, false},
		{`@n = count(); @last = nsecs;`, false},
		{`@n = count(); @m++;`, false},
		{`@n = count(); @m += 2;`, false},
		{`@n = count(); $x = @m--;`, false},
		{`@n = count(); delete(@keys, pid);`, false},
		{`@n = count(); print(@n);`, false},
		{`@n = count(); if (@n > 3) { @m = count(); }`, false},
		{`@n = count(); printf("x");`, false},
		{`if (@once == 0) { @n = count(); exit(); }`, false},
		{`@n[noted(arg2)] = count();`, false},
		{`for ($kv : @keys) { @n = count(); }`, true},
		{`$x = arg2;`, false},
	} {
		text := `fn twice($x : int64) : int64 { return $x * 2; } fn noted($x : int64) : int64 { @seen[$x] = 1; return $x; }
begin { @on = 1; @keys[1] = 1; @once = 0; @m2[1] = twice(1) + noted(2); } kprobe:vfs_read { ` + c.text + ` }`
		var diags source.Diags
		obj, err := codegen.Compile(source.NewFile("stdin", text), codegen.Request{
			Env: &probes.Env{Kernel: k}, Invocation: &builtins.Invocation{}, Sample: true,
		}, &diags)
		if err == nil {
			err = diags.Err()
		}
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		if got := obj.Programs[1].Sampled > 0; got != c.want {
			t.Errorf("%s: %v, want %v", c.text, got, c.want)
		}
		if obj.Programs[0].Sampled > 0 {
			t.Errorf("%s: begin is sampled", c.text)
		}
	}
}
