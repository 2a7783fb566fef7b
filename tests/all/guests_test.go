package main

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
)

// TestShare checks that each live test runs in one guest, or in those it is pinned to, and
// that heavy and pinned name only tests that exist.
func TestShare(t *testing.T) {
	files, err := filepath.Glob("../live/*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var tests []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)\(t `).FindAllSubmatch(text, -1) {
			tests = append(tests, string(m[1]))
		}
	}
	if len(tests) < 100 {
		t.Fatalf("found only %d live tests", len(tests))
	}
	guests := map[string]int{}
	for i := range 4 {
		for _, test := range share(tests, i) {
			guests[test]++
		}
	}
	for _, test := range tests {
		want := max(1, len(pinned[test]))
		if guests[test] != want {
			t.Errorf("%s runs in %d guests, want %d", test, guests[test], want)
		}
	}
	for _, test := range slices.Concat(heavy, slices.Collect(maps.Keys(pinned))) {
		if !slices.Contains(tests, test) {
			t.Errorf("%s is not a live test", test)
		}
	}
}
