package main

import (
	"io"

	"github.com/gotrace/gotrace/lang/policy"
	front "github.com/gotrace/gotrace/lang/policy/tetragon"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/runtime/output"
	"github.com/gotrace/gotrace/runtime/policy/tetragon"
)

// tetragonPolicies are the tracing policies of Tetragon.
var tetragonPolicies = policySystem{
	name: "Tetragon", kind: "tracing policies of Tetragon", format: "tetragon",
	recognises: front.Recognises,
	translate: func(docs []policy.Document, _ *policyOptions, terms *policy.Terms, diags *source.Diags) translation {
		if t := front.Translate(docs, front.ThisMachine(), terms, diags); t != nil {
			return tracing{t}
		}
		return nil
	},
}

// tracing is the translation of tracing policies.
type tracing struct{ t *front.Translation }

func (t tracing) Script() *source.File { return t.t.Script }

func (t tracing) Sink(format string) makeSink {
	formats := map[string]tetragon.Format{"tetragon": tetragon.JSON, "json": tetragon.JSON, "compact": tetragon.Compact, "text": tetragon.Text}
	f, ok := formats[format]
	if !ok {
		return nil
	}
	return func(out *output.Writer, err io.Writer, opt output.Style) output.Sink {
		return tetragon.New(out, output.NewText(out, err, opt), t.t, f)
	}
}
