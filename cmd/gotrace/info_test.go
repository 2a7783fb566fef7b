package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/gotrace/gotrace/tests/schema"
)

// TestInfoJSON checks that text and JSON have the same features and permissions.
func TestInfoJSON(t *testing.T) {
	text, errs, status := gotrace(t, "--info")
	if status != 0 || errs != "" {
		t.Fatalf("status %d, %q", status, errs)
	}
	out, errs, status := gotrace(t, "--info", "-f", "json")
	if status != 0 || errs != "" {
		t.Fatalf("status %d, %q", status, errs)
	}
	if err := schema.Reports([]byte(out)); err != nil {
		t.Error(err)
	}
	var v struct {
		Type string
		Data struct {
			Release     string
			CPUs        int
			Features    []struct{ Name, State string }
			Permissions []restriction
		}
	}
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		t.Fatal(err)
	}
	if v.Type != "info" || v.Data.Release == "" || v.Data.CPUs == 0 || len(v.Data.Features) < 15 || len(v.Data.Permissions) < 15 {
		t.Errorf("%+v", v)
	}
	for _, f := range v.Data.Features {
		if !strings.Contains(text, "\n  "+f.Name+": "+f.State) {
			t.Errorf("the text has no %s: %s", f.Name, f.State)
		}
	}
	for _, p := range v.Data.Permissions {
		if !strings.Contains(text, "\n  "+p.Name+": "+p.State+"\n") || !strings.Contains(text, p.Limits) || !strings.Contains(text, p.Way) {
			t.Errorf("the text has no %+v", p)
		}
	}
}
