package main

import (
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
	translate: func(docs []policy.Document, _ *policyOptions, opts *policy.Options, diags *source.Diags) translation {
		p := falco.Translate(docs, opts, diags)
		if p == nil {
			return nil
		}
		return falcoProgram{p}
	},
}

// falcoProgram is rules that are translated.
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
