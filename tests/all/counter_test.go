package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestCounter(t *testing.T) {
	c := newCounter()
	for _, line := range []string{
		`{"Action":"run","Package":"p","Test":"TestTable"}`,
		`{"Action":"pass","Package":"p","Test":"TestTable/one"}`,
		`{"Action":"output","Package":"p","Test":"TestTable/two","Output":"    x_test.go:9: got 1\n"}`,
		`{"Action":"fail","Package":"p","Test":"TestTable/two"}`,
		`{"Action":"fail","Package":"p","Test":"TestTable"}`,
		`{"Action":"pass","Package":"p","Test":"TestAlone"}`,
		`{"Action":"output","Package":"q","Test":"TestNew","Output":"    q_test.go:12: needs Linux 6.1\n"}`,
		`{"Action":"skip","Package":"q","Test":"TestNew"}`,
		`not an event`,
		`{"Action":"fail","Package":"p"}`,
	} {
		// Two writes test that lines are reassembled.
		fmt.Fprint(c, line[:5])
		fmt.Fprint(c, line[5:]+"\n")
	}
	if p, f, s := c.totals(); p != 2 || f != 1 || s != 1 {
		t.Errorf("%d passed, %d failed, %d skipped", p, f, s)
	}
	if got := c.failures(); !strings.Contains(got, "got 1") || !strings.Contains(got, "not an event") {
		t.Errorf("failures: %q", got)
	}
	if got, want := c.skipReasons(), []string{"1 (needs Linux 6.1): TestNew"}; !slices.Equal(got, want) {
		t.Errorf("skips: %q", got)
	}
}

// TestCounterBuild checks that a package counts as failed if it does not build.
func TestCounterBuild(t *testing.T) {
	c := newCounter()
	fmt.Fprintln(c, `{"Action":"output","Package":"p","Output":"undefined: x\n"}`)
	fmt.Fprintln(c, `{"Action":"fail","Package":"p"}`)
	if _, f, _ := c.totals(); f != 1 {
		t.Errorf("%d failed", f)
	}
	if !strings.Contains(c.failures(), "undefined: x") {
		t.Errorf("failures: %q", c.failures())
	}
}

// TestCounterHang checks that a test that does not end counts as failed and is named.
func TestCounterHang(t *testing.T) {
	c := newCounter()
	fmt.Fprintln(c, `{"Action":"run","Package":"p","Test":"TestEnds"}`)
	fmt.Fprintln(c, `{"Action":"pass","Package":"p","Test":"TestEnds"}`)
	fmt.Fprintln(c, `{"Action":"run","Package":"p","Test":"TestHangs"}`)
	fmt.Fprintln(c, `{"Action":"output","Package":"p","Test":"TestHangs","Output":"panic: test timed out\n"}`)
	if p, f, _ := c.totals(); p != 1 || f != 1 {
		t.Errorf("%d passed, %d failed", p, f)
	}
	if got := c.failures(); !strings.Contains(got, "timed out") || !strings.Contains(got, "p TestHangs did not end") {
		t.Errorf("failures: %q", got)
	}
}
