package plan_test

import (
	"cmp"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/gotrace/gotrace/probes/kernel"
	"github.com/gotrace/gotrace/tests/cases"
)

// TestPlans compares the plans of scripts with those of testdata. Each way of keeping a
// map must be in one of them.
func TestPlans(t *testing.T) {
	plans := ""
	for _, file := range cases.Glob(t, "testdata/*.txtar", "kernel") {
		for _, c := range file.Cases {
			t.Run(c.Name, func(t *testing.T) {
				k, err := kernel.Frozen("../../tests/kernels/" + cmp.Or(c.Header("kernel"), "7") + ".zip")
				if err != nil {
					t.Fatal(err)
				}
				text := planOn(t, k, c.Input(t, "source.bt"))
				c.Check(t, cases.Section{Name: "plan", Text: text})
				plans += text
			})
		}
	}
	kinds := 0
	entries, err := os.ReadDir("../../runtime/store")
	if err != nil {
		t.Fatal(err)
	}
	name := regexp.MustCompile(`(?m)^var \w+ = kind\{\n\tname: +"(.*)",`)
	for _, e := range entries {
		data, err := os.ReadFile("../../runtime/store/" + e.Name())
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range name.FindAllStringSubmatch(string(data), -1) {
			kinds++
			if !strings.Contains(plans, "  kept "+m[1]+" in ") {
				t.Errorf("no map of testdata is kept as %s", m[1])
			}
		}
	}
	if kinds < 9 {
		t.Errorf("%d kinds of stores", kinds)
	}
}
