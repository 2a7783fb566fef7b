package golden

import (
	"cmp"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/gotrace/gotrace/tests/cases"
)

// goldenCase is one case of the corpus.
type goldenCase struct {
	*cases.Case
	path, name string
	source     string
	kernel     string
	args       []string
	recorder   int64
	until      string
	options    map[string]string
	unsafe     bool
	warnings   bool
	asm        bool // record the instructions too
}

func readCases(t *testing.T) []*goldenCase {
	t.Helper()
	var list []*goldenCase
	for _, file := range cases.Glob(t, "*/*.txtar", headers...) {
		if len(file.Cases) != 1 {
			t.Fatalf("%s has %d cases", file.Path, len(file.Cases))
		}
		c := file.Cases[0]
		flags := strings.Fields(c.Header("flags"))
		g := &goldenCase{
			Case:     c,
			path:     file.Path,
			name:     strings.TrimSuffix(filepath.ToSlash(file.Path), ".txtar"),
			source:   c.Input(t, SourceFile),
			kernel:   cmp.Or(c.Header("kernel"), usualKernel),
			args:     strings.Fields(c.Header("args")),
			options:  map[string]string{},
			unsafe:   slices.Contains(flags, "unsafe"),
			warnings: slices.Contains(flags, "warnings"),
			asm:      slices.Contains(flags, "asm"),
		}
		for w := range strings.FieldsSeq(c.Header("options")) {
			k, v, _ := strings.Cut(w, "=")
			g.options[k] = v
		}
		if text := c.Header("recorder"); text != "" {
			size, until, _ := strings.Cut(text, " ")
			var err error
			if g.recorder, err = strconv.ParseInt(size, 10, 64); err != nil {
				t.Fatalf("%s: %v", file.Path, err)
			}
			g.until = until
		}
		list = append(list, g)
	}
	return list
}
