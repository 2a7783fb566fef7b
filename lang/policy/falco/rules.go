// Package falco reads rules of Falco and writes the script that reports the events that
// they need. Package runtime/policy/falco evaluates the rules and prints alerts.
package falco

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/gotrace/gotrace/lang/policy"
	"github.com/gotrace/gotrace/lang/policy/yaml"
	"github.com/gotrace/gotrace/lang/source"
)

// Rule is a rule of a file.
type Rule struct {
	At          source.Span
	Name        string
	Description string
	Priority    Priority
	Tags        []string
	Enabled     bool
	Condition   Expr      // without names of macros and lists
	Output      []Segment // the text of an alert
	Source      string

	condition, output text
	exceptions        []*exception
	skipUnknown       bool // leave the rule out if a field is not known
	quiet             bool // do not warn if the rule names no types of events
}

// Priority is how urgent an alert is, the most urgent first.
type Priority uint8

var priorities = []string{"Emergency", "Alert", "Critical", "Error", "Warning", "Notice", "Informational", "Debug"}

func (p Priority) String() string { return priorities[p] }

// reader reads the items of rule files.
type reader struct {
	terms *policy.Terms
	diags *source.Diags

	rules  []*Rule
	byName map[string]*Rule
	macros map[string]*macro
	order  []*macro // as they were first defined
	lists  map[string]*list
	others map[string]bool // sources of events that a warning has named
	items  int             // number of items that were read
}

// Recognises reports whether a document holds rules of Falco.
func Recognises(d policy.Document) bool {
	if d.Root.Kind != yaml.List {
		return false
	}
	for _, item := range d.Root.Items {
		for _, key := range topLevel {
			if item.Has(key) {
				return true
			}
		}
	}
	return false
}

var topLevel = []string{"rule", "macro", "list", "required_engine_version", "required_plugin_versions"}

// read reads the items of all documents, in order.
func (r *reader) read(docs []policy.Document) {
	r.byName, r.macros, r.lists, r.others = map[string]*Rule{}, map[string]*macro{}, map[string]*list{}, map[string]bool{}
	for _, d := range docs {
		for _, item := range d.Root.Items {
			r.items++
			if item.Kind == yaml.Null {
				continue
			}
			if item.Kind != yaml.Map {
				r.diags.Errorf(item.At, "expected a rule, a macro or a list, not %s", item.Kind)
				continue
			}
			switch {
			case item.Has("rule"):
				r.rule(item)
			case item.Has("macro"):
				r.macro(item)
			case item.Has("list"):
				r.list(item)
			case item.Has("required_engine_version"):
				r.engine(item.Get("required_engine_version"))
			case item.Has("required_plugin_versions"):
				r.plugins(item.Get("required_plugin_versions"))
			case len(item.Fields) > 0:
				r.diags.Warnf(item.Fields[0].At, "'%s' is not an item of a rule file: it is left out", item.Fields[0].Key)
			}
		}
	}
	r.checkMacros()
}

// engineMinor is the minor version of the newest Falco engine whose rules gotrace
// supports.
const engineMinor = 62

func (r *reader) engine(n *yaml.Node) {
	parts := strings.Split(n.Value, ".")
	major, minor := 0, 0
	var err error
	if len(parts) == 1 { // before versions had dots
		minor, err = strconv.Atoi(parts[0])
	} else {
		if major, err = strconv.Atoi(parts[0]); err == nil {
			minor, err = strconv.Atoi(parts[1])
		}
	}
	switch {
	case n.Kind != yaml.Scalar || err != nil:
		r.diags.Errorf(n.At, "expected the version of Falco's engine, such as 0.57.0")
	case major > 0 || minor > engineMinor:
		r.diags.Errorf(n.At, "these rules need version %s of Falco's engine, and gotrace understands those for 0.%d", n.Value, engineMinor)
	}
}

// plugins checks the plugins that rules need. The plugin for containers is part of gotrace.
// Others deliver events of other sources, whose rules are left out.
func (r *reader) plugins(n *yaml.Node) {
	if n.Kind != yaml.List {
		r.diags.Errorf(n.At, "expected a list of plugins, not %s", n.Kind)
		return
	}
	for _, item := range n.Items {
		name := item.Get("name")
		if item.Kind != yaml.Map || name.Kind != yaml.Scalar || item.Get("version").Kind != yaml.Scalar {
			r.diags.Errorf(item.At, "a plugin has a name and a version")
			continue
		}
		known := name.Value == "container" || name.Value == "k8smeta"
		for _, other := range item.Get("alternatives").Items {
			known = known || other.Get("name").Value == "container"
		}
		if !known {
			r.diags.Warnf(name.At, "gotrace has no plugin '%s': rules for its events are left out", name.Value)
		}
	}
}

// name returns the name that an item has under a key.
func (r *reader) name(item *yaml.Node, key string) (string, bool) {
	n := item.Get(key)
	if n.Kind != yaml.Scalar || n.Value == "" {
		r.diags.Errorf(n.At, "the %s has no name", key)
		return "", false
	}
	return n.Value, true
}

// sourceSyscall is the only source of events that gotrace has.
const sourceSyscall = "syscall"

// The keys of rules that can be appended to, and that can be replaced.
var (
	plainAppend = []string{"condition", "exceptions"} // with "append: true"
	appendable  = []string{"condition", "output", "desc", "tags", "exceptions"}
	replaceable = []string{"condition", "output", "desc", "priority", "tags", "exceptions", "enabled", "warn_evttypes", "skip-if-unknown-filter", "capture", "capture_duration"}
	ruleKeys    = append([]string{"rule", "append", "override", "source"}, replaceable...)
	required    = []string{"condition", "output", "desc", "priority"}
)

// append adds the condition and the exceptions of an item with "append: true" to a rule.
func (r *reader) append(rule *Rule, item *yaml.Node, of map[string]string) {
	if !slices.ContainsFunc(plainAppend, item.Has) {
		r.diags.Errorf(item.At, "there is neither a condition nor exceptions to append to the rule '%s'", rule.Name)
		return
	}
	for _, f := range item.Fields {
		if policy.Among(replaceable, f.Key) && of[f.Key] == "" {
			r.diags.Add(source.Diag{Span: f.At, Severity: source.Warning, Hint: "'override' changes it",
				Msg: fmt.Sprintf("'append: true' is for conditions and exceptions: '%s' is left out", f.Key)})
		}
	}
	r.change(rule, item, of)
}

func (r *reader) rule(item *yaml.Node) {
	name, ok := r.name(item, "rule")
	of, present, good := r.override(item, plainAppend, appendable, replaceable)
	if !ok || !good {
		return
	}
	for _, f := range item.Fields {
		if !policy.Among(ruleKeys, f.Key) {
			hint := source.DidYouMean(f.Key, ruleKeys)
			r.diags.Add(source.Diag{Span: f.At, Severity: source.Warning, Msg: fmt.Sprintf("rules have no key '%s': it is left out", f.Key), Hint: hint})
		}
	}
	old := r.byName[name]
	switch {
	case present && old == nil:
		r.diags.Errorf(item.At, "there is no rule '%s' before this to change", name)
	case present && !item.Has("override"):
		r.append(old, item, of)
	case present:
		r.change(old, item, of)
	case !slices.ContainsFunc(required, item.Has) && item.Has("enabled"):
		if old == nil {
			r.diags.Errorf(item.At, "there is no rule '%s' before this to enable or disable", name)
			return
		}
		r.change(old, item, map[string]string{"enabled": "replace"})
	default:
		rule := &Rule{At: item.Get("rule").At, Name: name, Enabled: true, Source: sourceSyscall}
		before := len(r.diags.All())
		for _, key := range required {
			if !item.Has(key) {
				r.diags.Errorf(item.Get("rule").At, "the rule '%s' has no %s", name, key)
			}
		}
		if n := item.Get("source"); n.Kind == yaml.Scalar {
			rule.Source = n.Value
		}
		if old != nil && old.Source != rule.Source {
			r.diags.Errorf(item.Get("rule").At, "the rule '%s' has the source '%s' before", name, old.Source)
		}
		of := map[string]string{}
		for _, key := range replaceable {
			of[key] = "replace"
		}
		if len(r.diags.All()) > before && r.diags.HasErrors() {
			return
		}
		r.change(rule, item, of)
		if old != nil {
			rule.At = item.Get("rule").At
			*old = *rule
			return
		}
		r.rules = append(r.rules, rule)
		r.byName[name] = rule
	}
}

// change applies the keys of an item to a rule. of has the mode for each key: "append",
// "replace" or "".
func (r *reader) change(rule *Rule, item *yaml.Node, of map[string]string) {
	for _, f := range item.Fields {
		how := of[f.Key]
		if how == "" {
			continue
		}
		n := f.Value
		switch f.Key {
		case "condition", "output":
			if n.Kind != yaml.Scalar || strings.TrimSpace(n.Value) == "" {
				r.diags.Errorf(n.At, "the %s of the rule '%s' is %s", f.Key, rule.Name, n.Kind)
				continue
			}
			to := &rule.condition
			if f.Key == "output" {
				to = &rule.output
			}
			if how == "replace" {
				*to = text{}
			}
			*to = to.with(n)
		case "desc":
			if n.Kind != yaml.Scalar || n.Value == "" {
				r.diags.Errorf(n.At, "the description of the rule '%s' is empty or no text", rule.Name)
				continue
			}
			if how == "append" {
				rule.Description += " "
			} else {
				rule.Description = ""
			}
			rule.Description += n.Value
		case "priority":
			r.priority(rule, n)
		case "tags":
			if n.Kind != yaml.List && n.Kind != yaml.Null {
				r.diags.Errorf(n.At, "the tags of a rule are a list, not %s", n.Kind)
				continue
			}
			if how == "replace" {
				rule.Tags = nil
			}
			for _, tag := range n.Items {
				if tag.Kind != yaml.Scalar {
					r.diags.Errorf(tag.At, "a tag is a text, not %s", tag.Kind)
				} else if !policy.Among(rule.Tags, tag.Value) {
					rule.Tags = append(rule.Tags, tag.Value)
				}
			}
			slices.Sort(rule.Tags)
		case "enabled", "skip-if-unknown-filter", "warn_evttypes":
			yes, ok := truth(n)
			switch {
			case !ok:
				r.diags.Errorf(n.At, "'%s' is true or false", f.Key)
			case f.Key == "enabled":
				rule.Enabled = yes
			case f.Key == "warn_evttypes":
				rule.quiet = !yes
			default:
				rule.skipUnknown = yes
			}
		case "exceptions":
			r.exceptions(rule, n, how)
		}
	}
}

func (r *reader) priority(rule *Rule, n *yaml.Node) {
	p, err := ParsePriority(n.Value)
	if err != nil {
		r.diags.ErrorHint(n.At, "the priorities are "+strings.ToUpper(strings.Join(priorities, " ")), "'%s' is not a priority", n.Value)
		return
	}
	rule.Priority = p
}
