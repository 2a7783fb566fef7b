package codegen_test

import (
	"bytes"
	"errors"
	"os"
	"regexp"
	"slices"
	"testing"

	"github.com/gotrace/gotrace/codegen"
	"github.com/gotrace/gotrace/lang/source"
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
	for _, c := range cases.Read(t, "testdata/stages.txtar", "until").Cases {
		text := map[string]string{}
		req := request(fetching{k}, nil)
		req.Invocation.Until = c.Header("until")
		req.Dump = func(stage, made string) { text[stage] = made }
		var diags source.Diags
		_, err := codegen.Compile(source.NewFile("stdin", c.Input(t, "source.bt")), req, &diags)
		if err = errors.Join(err, diags.Err()); err != nil {
			t.Errorf("%s: %v", c.At, err)
			continue
		}
		var sections []cases.Section
		for _, stage := range codegen.Stages() {
			if text[stage] == "" {
				t.Errorf("%s: nothing is printed for stage %s", c.At, stage)
			}
			sections = append(sections, cases.Section{Name: stage, Text: ownFile.ReplaceAllString(text[stage], "")})
		}
		c.Check(t, sections...)
	}
}

// ownFile matches what an object contains about a file and differs between copies of it.
var ownFile = regexp.MustCompile(`, inode \d+ of \d+, changed \d+`)

// TestStagesDocumented compares the table of stages in ARCHITECTURE.md with the pipeline.
func TestStagesDocumented(t *testing.T) {
	text, err := os.ReadFile("../docs/ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := bytes.Cut(text, []byte("| stage |"))
	table, _, _ = bytes.Cut(table, []byte("\n\n"))
	var rows []string
	for _, m := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\|").FindAllSubmatch(table, -1) {
		rows = append(rows, string(m[1]))
	}
	if stages := codegen.Stages(); !slices.Equal(rows, stages) {
		t.Errorf("ARCHITECTURE.md has the stages %q, the compiler has %q", rows, stages)
	}
}
