package codegen_test

import (
	"strings"
	"testing"

	"github.com/gotrace/gotrace/probes/kernel"
)

// TestReset checks which maps have a program that zeroes them.
func TestReset(t *testing.T) {
	k, err := kernel.Frozen("../tests/kernels/6.12.zip")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		script string
		reset  bool
	}{
		{`begin { @m = count(); }`, false},
		{`begin { @m = count(); print(@m); }`, false},
		{`begin { @m = count(); delete(@m); }`, false},
		{`begin { @m = count(); clear(@m); }`, true},
		{`begin { @m = hist(1); } end { zero(@m); }`, true},
		{`macro again(@a) { clear(@a); } begin { @m = lhist(1, 0, 100, 1); again(@m); }`, true},
		{`begin { @m = count(); if (false) { clear(@m); } }`, false},
		{`begin { @m = 5; clear(@m); }`, false},
		{`begin { @m[1] = count(); clear(@m); }`, false},
		{`begin { @m[tid] = 1; zero(@m); }`, false},
	} {
		obj := compileFor(t, k, c.script, nil)
		if got := obj.Maps[0].Reset != nil; got != c.reset {
			t.Errorf("%s: a program that resets the map: %t", c.script, got)
		}
		if got := strings.Contains(obj.String(), "\nto reset @m\n"); got != c.reset {
			t.Errorf("%s: the object shows it: %t", c.script, got)
		}
	}
}
