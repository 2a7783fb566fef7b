package falco

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/gotrace/gotrace/lang/policy"
	"github.com/gotrace/gotrace/lang/source"
)

// TestChoose selects rules by names, tags and priorities.
func TestChoose(t *testing.T) {
	var text strings.Builder
	for _, r := range [][4]string{
		{"read a", "ALERT", "[file, x]", "true"}, {"read b", "WARNING", "[file]", "true"}, {"net", "DEBUG", "[net]", "true"}, {"network", "INFO", "[]", "false"},
	} {
		fmt.Fprintf(&text, "- rule: %s\n  desc: d\n  condition: evt.type = setuid\n  output: o\n  priority: %s\n  tags: %s\n  enabled: %s\n", r[0], r[1], r[2], r[3])
	}
	k := frozen(t, "6.12")
	for _, c := range []struct {
		name   string
		choose []Choice
		least  string
		want   string
	}{
		{"nothing", nil, "debug", "read a, read b, net"},
		{"a priority", nil, "warning", "read a, read b"},
		{"the priority with a short name", []Choice{{Enable: true, Name: "network"}}, "info", "read a, read b, network"},
		{"a tag", []Choice{{Enable: true, Tag: "file", Only: true}}, "debug", "read a, read b"},
		{"tags", []Choice{{Enable: true, Tag: "x", Only: true}, {Enable: true, Tag: "net", Only: true}}, "debug", "read a, net"},
		{"not a tag", []Choice{{Tag: "file"}}, "debug", "net"},
		{"a part of names", []Choice{{Name: "read"}}, "debug", "net"},
		{"a whole name", []Choice{{Name: "net"}, {Enable: true, Name: "network"}}, "debug", "read a, read b, network"},
		{"a pattern", []Choice{{Name: "*"}, {Enable: true, Name: "net*"}}, "debug", "net, network"},
		{"in order", []Choice{{Enable: true, Name: "net*"}, {Name: "*"}, {Enable: true, Name: "read ?"}, {Name: "read b"}}, "debug", "read a"},
	} {
		var diags source.Diags
		own := Selection{Choose: c.choose}
		var err error
		if own.Least, err = ParsePriority(c.least); err != nil {
			t.Fatal(err)
		}
		p := Translate(documents(text.String(), &diags), own, &policy.Terms{Kernel: k}, &diags)
		if p == nil {
			t.Errorf("%s: %v", c.name, diags.Err())
			continue
		}
		var names []string
		for _, r := range p.Rules {
			names = append(names, r.Name)
		}
		if got := strings.Join(names, ", "); got != c.want || len(diags.All()) > 0 {
			t.Errorf("%s: %s, want %s; %v", c.name, got, c.want, diags.All())
		}
	}
	var diags source.Diags
	Translate(documents(text.String(), &diags), Selection{Choose: []Choice{{Name: "gone"}, {Tag: "gone"}}, Least: Priority(len(priorities) - 1)}, &policy.Terms{Kernel: k}, &diags)
	var got []string
	for _, d := range diags.All() {
		got = append(got, d.Msg)
	}
	if diff := cmp.Diff([]string{"no rule has the name 'gone'", "no rule has the tag 'gone'"}, got); diff != "" {
		t.Error(diff)
	}
}

// TestManyEvents checks the warning for rules that select no events.
func TestManyEvents(t *testing.T) {
	k := frozen(t, "6.12")
	for _, c := range []struct {
		condition, more string
		want            bool
	}{
		{"proc.name = a", "", true},
		{"proc.name = a", "  warn_evttypes: false\n", false},
		{"proc.name = a", "  warn_evttypes: true\n", true},
		{"evt.type != setuid", "", true},
		{"evt.type in (setuid, read)", "", false},
		{"evt.is_open_write = true", "", false},
	} {
		var diags source.Diags
		text := fmt.Sprintf("- rule: r\n  desc: d\n  condition: %s\n  output: o\n  priority: INFO\n%s", c.condition, c.more)
		Translate(documents(text, &diags), EveryRule(), &policy.Terms{Kernel: k}, &diags)
		all := diags.All()
		if warned := len(all) == 1 && strings.Contains(all[0].Msg, "types of events"); warned != c.want || !warned && len(all) > 0 {
			t.Errorf("%s: warned %t, want %t: %v", c.condition, warned, c.want, all)
		}
	}
}

func TestParsePriority(t *testing.T) {
	for text, want := range map[string]string{
		"info": "", "Informational": "", "EMERGENCY": "",
		"loud": "'loud' is not a priority: they are Emergency, Alert, Critical, Error, Warning, Notice, Informational, Debug",
	} {
		if _, err := ParsePriority(text); fmt.Sprint(err) != want && (err != nil || want != "") {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

// TestLargeCondition replaces lists that double 19 times.
func TestLargeCondition(t *testing.T) {
	var text strings.Builder
	text.WriteString("- list: l0\n  items: [a]\n")
	for i := range 19 {
		fmt.Fprintf(&text, "- list: l%d\n  items: [l%d, l%[2]d]\n", i+1, i)
	}
	text.WriteString("- rule: r\n  desc: d\n  condition: evt.type = setuid and proc.name in (l19)\n  output: o\n  priority: INFO\n")
	var diags source.Diags
	Translate(documents(text.String(), &diags), EveryRule(), &policy.Terms{Kernel: frozen(t, "6.12")}, &diags)
	if got := fmt.Sprint(diags.Err()); !strings.Contains(got, "the condition has more than 262144 comparisons and values, with its macros and lists in place") {
		t.Error(got)
	}
}

// TestAppend adds text to the output of each rule.
func TestAppend(t *testing.T) {
	k := frozen(t, "6.12")
	const rules = "- rule: r\n  desc: d\n  condition: evt.type = setuid\n  output: o\n  priority: INFO\n"
	for text, want := range map[string]string{
		"":                                  "o",
		"id=%container.id%% %proc.aname[2]": "o id=<container.id>% <proc.aname[2]>",
		"%proc.nothing":                     "there is no field 'proc.nothing'",
	} {
		var diags source.Diags
		own := EveryRule()
		own.Append = text
		p := Translate(documents(rules, &diags), own, &policy.Terms{Kernel: k}, &diags)
		got := ""
		switch {
		case p != nil:
			for _, s := range p.Rules[0].Output {
				if got += s.Text; s.Term != nil {
					got += "<" + s.Key + ">"
				}
			}
		case diags.HasErrors():
			got = diags.All()[0].Msg
		}
		if got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
