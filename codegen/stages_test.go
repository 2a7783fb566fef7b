package codegen_test

import (
	"testing"

	"github.com/gotrace/gotrace/codegen"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/probes/kernel"
	"github.com/gotrace/gotrace/tests/cases"
)

// fetching is a kernel in which programs that may sleep can read strings.
type fetching struct{ probes.Kernel }

func (f fetching) Has(feat probes.Feature) bool {
	return feat == probes.FeatSleepUprobe || f.Kernel.Has(feat)
}

func (f fetching) Kfunc(name string) (uint32, bool) {
	if name == "bpf_copy_from_user_str" {
		return 1, true
	}
	return f.Kernel.Kfunc(name)
}

// TestStages records the output of each stage for a few scripts. Every stage must have
// some output.
func TestStages(t *testing.T) {
	k, err := kernel.Frozen("../tests/kernels/7.zip")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases.Read(t, "testdata/stages.txtar").Cases {
		text := map[string]string{}
		_, diags := compile(t, fetching{k}, c.Input(t, "source.bt"), func(stage, made string) { text[stage] = made })
		if err := diags.Err(); err != nil {
			t.Errorf("%s: %v", c.At, err)
			continue
		}
		var sections []cases.Section
		for _, stage := range codegen.Stages() {
			if text[stage] == "" {
				t.Errorf("%s: nothing is printed for stage %s", c.At, stage)
			}
			sections = append(sections, cases.Section{Name: stage, Text: text[stage]})
		}
		c.Check(t, sections...)
	}
}
