package codegen_test

import (
	"strings"
	"testing"

	"github.com/gotrace/gotrace/probes/kernel"
)

// TestMapPrograms checks which programs user space has for a map.
func TestMapPrograms(t *testing.T) {
	k, err := kernel.Frozen("../tests/kernels/6.12.zip")
	if err != nil {
		t.Fatal(err)
	}
	const socket = `rawtracepoint:inet_sock_set_state { if (@m[args.sk] == 0) { @m[args.sk] = 1; } `
	for _, c := range []struct{ script, want string }{
		{`begin { @m = count(); }`, ""},
		{`begin { @m = count(); print(@m); }`, ""},
		{`begin { @m = count(); delete(@m); }`, ""},
		{`begin { @m = count(); clear(@m); }`, "reset_m"},
		{`begin { @m = hist(1); } end { zero(@m); }`, "reset_m"},
		{`macro again(@a) { clear(@a); } begin { @m = lhist(1, 0, 100, 1); again(@m); }`, "reset_m"},
		{`begin { @m = count(); if (false) { clear(@m); } }`, ""},
		{`begin { @m = 5; clear(@m); }`, ""},
		{`begin { @m[1] = count(); clear(@m); }`, ""},
		{`begin { @m[tid] = 1; zero(@m); }`, ""},
		{socket + `}`, "read_m"},
		{socket + `clear(@m); }`, "read_m empty_m reset_m"},
	} {
		obj := compileFor(t, k, c.script, nil)
		var got []string
		for _, p := range obj.Maps[0].Programs {
			got = append(got, p.Name)
			if !strings.Contains(obj.String(), "\nfor map @m\nprog "+p.Name+":") {
				t.Errorf("%s: the object does not show %s", c.script, p.Name)
			}
		}
		if got := strings.Join(got, " "); got != c.want {
			t.Errorf("%s: got %q, want %q", c.script, got, c.want)
		}
	}
}
