package falco

import (
	"slices"
	"strings"

	"github.com/gotrace/gotrace/lang/policy"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/runtime/outline"
)

// Selection selects the rules that run, and whether several may raise an alert for an event.
type Selection struct {
	All    bool     // every rule that matches raises an alert, not only the first
	Choose []Choice // enable and disable rules, in order
	Least  Priority // leave out less urgent rules
	Append string   // text that is appended to the output of each rule
}

// EveryRule returns the selection with which all rules of all priorities run.
func EveryRule() Selection { return Selection{Least: Priority(len(priorities) - 1)} }

// Choice enables or disables the rules with a name or a tag. It overrides their files.
type Choice struct {
	Enable bool
	Tag    string
	Name   string // or a pattern with * and ?, or a part of the name; if Tag is ""
	Only   bool   // disable all rules before the first choice
}

// ParsePriority returns the priority of a name.
func ParsePriority(name string) (Priority, error) {
	if strings.EqualFold(name, "info") {
		name = "informational"
	}
	for i, p := range priorities {
		if strings.EqualFold(p, name) {
			return Priority(i), nil
		}
	}
	return 0, outline.Errorf("'%s' is not a priority: they are %s", name, strings.Join(priorities, ", "))
}

// choose sets which rules are enabled. It warns about choices that match no rule.
func (o *Selection) choose(rules []*Rule, diags *source.Diags) {
	if slices.ContainsFunc(o.Choose, func(c Choice) bool { return c.Only }) {
		for _, r := range rules {
			r.Enabled = false
		}
	}
	for _, c := range o.Choose {
		fits := c.fits(rules)
		n := 0
		for _, r := range rules {
			if fits(r) {
				r.Enabled = c.Enable
				n++
			}
		}
		switch {
		case n > 0:
		case c.Tag != "":
			diags.Warnf(source.Span{}, "no rule has the tag '%s'", c.Tag)
		default:
			diags.Warnf(source.Span{}, "no rule has the name '%s'", c.Name)
		}
	}
	for _, r := range rules {
		r.Enabled = r.Enabled && r.Priority <= o.Least
	}
}

// fits returns a function that reports whether a choice matches a rule. A name that is not
// the name of a rule matches all names that contain it.
func (c *Choice) fits(rules []*Rule) func(*Rule) bool {
	switch {
	case c.Tag != "":
		return func(r *Rule) bool { return policy.Among(r.Tags, c.Tag) }
	case slices.ContainsFunc(rules, func(r *Rule) bool { return r.Name == c.Name }):
		return func(r *Rule) bool { return r.Name == c.Name }
	case strings.ContainsAny(c.Name, "*?"):
		if re, err := GlobRegexp(c.Name, false); err == nil {
			return func(r *Rule) bool { return re.MatchString(r.Name) }
		}
	}
	return func(r *Rule) bool { return strings.Contains(r.Name, c.Name) }
}
