package live

import (
	"fmt"
	"github.com/gotrace/gotrace/tests/cases"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// liveCase is a script, source.bt, a workload, and the expected output, stdout.
// WORK in the script or a header is the path of the workload.
type liveCase struct {
	*cases.Case
	prog, want string

	work   string   // work: arguments of the workload, which runs under -c
	flags  []string // flags: further flags, and arguments after them
	needs  []string // needs: features that the kernel must have, see missing
	since  string   // since: release; an older kernel must refuse the script and name it
	status int      // status: exit status
	stderr []string // stderr: what stderr must contain; can be repeated
	warns  bool     // warns: yes, warnings on stderr are expected
	match  bool     // compare: match, the expected lines are regular expressions for lines that must come in this order, others between them
	long   bool     // long: yes, not in emulated guests
	peer   string   // peer: why bpftrace behaves differently; such a case is not run against it
}

// parseCases reads a file of cases.
func parseCases(t *testing.T, path string, text []byte) []*liveCase {
	t.Helper()
	file, err := cases.Parse(path, text, "work", "flags", "needs", "since", "status", "stderr", "warns", "compare", "long", "peer")
	if err != nil {
		t.Fatal(err)
	}
	var list []*liveCase
	for _, c := range file.Cases {
		l := &liveCase{
			Case:   c,
			prog:   strings.Trim(c.Input(t, "source.bt"), "\n"),
			want:   strings.Trim(c.Section("stdout"), "\n"),
			work:   c.Header("work"),
			flags:  strings.Fields(c.Header("flags")),
			needs:  strings.Fields(c.Header("needs")),
			since:  c.Header("since"),
			stderr: c.Headers("stderr"),
			warns:  c.Header("warns") == "yes",
			match:  c.Header("compare") == "match",
			long:   c.Header("long") == "yes",
			peer:   c.Header("peer"),
		}
		if s := c.Header("status"); s != "" {
			if l.status, err = strconv.Atoi(s); err != nil {
				t.Fatalf("%s: status: %v", c.At, err)
			}
		}
		list = append(list, l)
	}
	return list
}

// compare returns the difference between out and the expected output, or "".
func (c *liveCase) compare(out string) string {
	out = strings.Trim(out, "\n")
	if !c.match {
		if out != c.want {
			return fmt.Sprintf("stdout:\n%s\nwant:\n%s", out, c.want)
		}
		return ""
	}
	lines := strings.Split(out, "\n")
	for want := range strings.SplitSeq(c.want, "\n") {
		re, err := regexp.Compile("^(?:" + want + ")$")
		if err != nil {
			return err.Error()
		}
		i := slices.IndexFunc(lines, re.MatchString)
		if i < 0 {
			return fmt.Sprintf("stdout:\n%s\nhas no line, or none in this order, like:\n%s", out, want)
		}
		lines = lines[i+1:]
	}
	return ""
}

func TestParseCases(t *testing.T) {
	list := parseCases(t, "x.txtar", []byte(`# A comment.
-- case one --
work: read 5
needs: kprobe loop
status: 3
-- source.bt --
begin { exit(3); }
-- stdout --
a
b

-- case two --
-- source.bt --
uprobe:WORK:f { @ = 1; }
-- stdout --
@: 1
`))
	if len(list) != 2 {
		t.Fatal(list)
	}
	one, two := list[0], list[1]
	if one.work != "read 5" || one.status != 3 || len(one.needs) != 2 || one.prog != "begin { exit(3); }" || one.want != "a\nb" {
		t.Errorf("%+v", one)
	}
	if two.prog != "uprobe:WORK:f { @ = 1; }" || two.want != "@: 1" {
		t.Errorf("%+v", two)
	}
	if d := one.compare("\n\na\nb\n\n"); d != "" {
		t.Error(d)
	}
	if one.compare("a\n\nb") == "" {
		t.Error("a blank line in the middle went unnoticed")
	}
	one.match = true
	if d := one.compare("x\na\ny\nb"); d != "" {
		t.Error(d)
	}
	if one.compare("b\na") == "" {
		t.Error("the wrong order went unnoticed")
	}
}
