package runtime

import (
	"regexp"

	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/outline"
)

// compileLater compiles the expressions of a predicate that user space decides, one for
// each step.
func compileLater(l *object.Later) ([]*regexp.Regexp, error) {
	var list []*regexp.Regexp
	for _, s := range l.Steps {
		re, err := regexp.Compile(s.Expr)
		if err != nil {
			return nil, outline.Errorf("%w: %w", object.ErrFormat, err)
		}
		list = append(list, re)
	}
	return list, nil
}

// holds decides the part of a predicate that the program could not decide.
func (h *handler) holds(e *env, rec *object.Record) bool {
	return len(h.later) == 0 || rec.Holds(func(step, arg int) bool {
		d := e.Decoder()
		return h.later[step].MatchString(d.Text(d.Value(rec.Args[arg].Type, rec.Arg(arg))))
	})
}
