package object

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/gotrace/gotrace/runtime/outline"
)

// Later is a predicate that a program could not decide. Argument First of the event has a
// bit for each part that the program has decided. The arguments after it are values whose
// text user space knows.
type Later struct {
	First int
	Steps []Step // program for a stack machine of truth values
}

// StepOp is the operation of a Step.
type StepOp uint8

const (
	StepKnown StepOp = iota // push bit N of argument First
	StepText                // push whether the text of argument First+N matches Expr
	StepNot                 // the others replace their operands by the result
	StepAnd
	StepOr
	StepSame   // whether two are equal
	StepChoose // of three operands: the second if the first is true, else the third
)

// Step is a step of a Later. Expr is a regular expression of package regexp.
type Step struct {
	Op   StepOp
	N    int
	Expr string
}

// stepTakes has the number of operands of each step.
var stepTakes = [...]int{StepNot: 1, StepAnd: 2, StepOr: 2, StepSame: 2, StepChoose: 3}

func (l *Later) check(args []Arg) error {
	depth := 0
	for _, s := range l.Steps {
		if int(s.Op) >= len(stepTakes) || stepTakes[s.Op] > depth || s.N < 0 || l.First < 0 ||
			l.First >= len(args) || s.Op == StepText && s.N >= len(args)-l.First || args[l.First].Packed || args[l.First].Type.Size < 8 {
			return outline.Errorf("step %d of the predicate", s.Op)
		}
		depth += 1 - stepTakes[s.Op]
	}
	if len(l.Steps) > 0 && depth != 1 {
		return outline.Errorf("the predicate has %d results", depth)
	}
	return nil
}

func (l *Later) print(b *bytes.Buffer) {
	if len(l.Steps) == 0 {
		return
	}
	fmt.Fprintf(b, ", if by #%d", l.First)
	for _, s := range l.Steps {
		fmt.Fprintf(b, " %s", [...]string{"bit", "text", "not", "and", "or", "same", "choose"}[s.Op])
		if s.Op <= StepText {
			fmt.Fprint(b, s.N)
		}
		if s.Expr != "" {
			fmt.Fprintf(b, " %q", s.Expr)
		}
	}
}

// Holds decides the predicate for an event that was sent. matches reports whether the
// text of an argument matches the expression of a step.
func (r *Record) Holds(matches func(step, arg int) bool) bool {
	l := &r.Later
	var stack []bool
	for i, s := range l.Steps {
		n := len(stack) - stepTakes[s.Op]
		x := stack[n:]
		var v bool
		switch s.Op {
		case StepKnown:
			v = binary.NativeEndian.Uint64(r.Arg(l.First))>>s.N&1 != 0
		case StepText:
			v = matches(i, l.First+s.N)
		case StepNot:
			v = !x[0]
		case StepAnd:
			v = x[0] && x[1]
		case StepOr:
			v = x[0] || x[1]
		case StepSame:
			v = x[0] == x[1]
		case StepChoose:
			v = x[0] && x[1] || !x[0] && x[2]
		}
		stack = append(stack[:n], v)
	}
	return len(stack) == 0 || stack[0]
}
