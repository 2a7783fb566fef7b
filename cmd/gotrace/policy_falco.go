package main

import (
	"errors"
	"io"

	"github.com/gotrace/gotrace/lang/policy"
	"github.com/gotrace/gotrace/lang/policy/falco"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/runtime/output"
	falcorun "github.com/gotrace/gotrace/runtime/policy/falco"
)

// falcoRules runs rules of Falco.
var falcoRules = policySystem{
	name: "Falco", kind: "rules of Falco", format: "falco", recognises: falco.Recognises,
	translate: func(docs []policy.Document, own *policyOptions, terms *policy.Terms, diags *source.Diags) translation {
		p := falco.Translate(docs, own.falco, terms, diags)
		if p == nil {
			return nil
		}
		return falcoProgram{p}
	},
}

// falcoProgram is the translation of rules.
type falcoProgram struct{ *falco.Program }

func (f falcoProgram) Sink(format string) makeSink {
	formats := map[string]falcorun.Format{"falco": falcorun.Text, "text": falcorun.Text, "json": falcorun.JSON}
	as, ok := formats[format]
	if !ok {
		return nil
	}
	return func(out *output.Writer, err io.Writer, style output.Style) output.Sink {
		return falcorun.NewSink(f.Program, as, out, err, style)
	}
}

// registerFalco adds the flags for rules of Falco.
func registerFalco(fs *flagSet, o *falco.Selection) {
	*o = falco.EveryRule()
	choose := func(long, short string, c falco.Choice) {
		fs.VarP(&falcoChoice{o, c}, long, short, "")
	}
	choose("tag", "t", falco.Choice{Enable: true, Tag: "t", Only: true})
	choose("no-tag", "T", falco.Choice{Tag: "t"})
	choose("enable", "", falco.Choice{Enable: true})
	choose("disable", "D", falco.Choice{})
	fs.Var((*falcoPriority)(&o.Least), "min-priority", "")
	fs.Var((*falcoMatching)(&o.All), "rule-matching", "")
	fs.StringVar(&o.Append, "append-output", "", "")
}

// falcoChoice is a flag that adds a choice of rules.
type falcoChoice struct {
	to     *falco.Selection
	choice falco.Choice
}

func (*falcoChoice) String() string { return "" }
func (*falcoChoice) Type() string   { return "name" }
func (f *falcoChoice) Set(text string) error {
	c := f.choice
	if c.Tag != "" {
		c.Tag = text
	} else {
		c.Name = text
	}
	if text == "" {
		return errors.New("expected a name")
	}
	f.to.Choose = append(f.to.Choose, c)
	return nil
}

// falcoPriority is a flag with a priority.
type falcoPriority falco.Priority

func (p *falcoPriority) String() string { return falco.Priority(*p).String() }
func (*falcoPriority) Type() string     { return "priority" }
func (p *falcoPriority) Set(text string) error {
	v, err := falco.ParsePriority(text)
	*p = falcoPriority(v)
	return err
}

// falcoMatching is a flag that is set by "all" and reset by "first".
type falcoMatching bool

func (*falcoMatching) String() string { return "first" }
func (*falcoMatching) Type() string   { return "which" }
func (m *falcoMatching) Set(text string) error {
	if text != "first" && text != "all" {
		return errors.New("expected first or all")
	}
	*m = text == "all"
	return nil
}
