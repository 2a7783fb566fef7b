package tests

import (
	"go/ast"
	"go/token"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/gotrace/gotrace/lang/config"
	"github.com/gotrace/gotrace/lang/policy"
)

// TestPolicyWords finds the hints and messages that tell what to change in a script. For
// policies, which have none of its settings and blocks, there must be another text.
func TestPolicyWords(t *testing.T) {
	names := "the block|config variable"
	for _, v := range config.Vars() {
		names += "|" + v.Name
	}
	settings := regexp.MustCompile(`\b(` + names + `)\b`)
	found := 0
	shown := regexp.MustCompile(`^(lang/(attach|check)|codegen|runtime|probes)/`)
	for _, file := range product(t) {
		if !shown.MatchString(file.path) {
			continue
		}
		ast.Inspect(file.File, func(n ast.Node) bool {
			for _, x := range hintTexts(n) {
				ast.Inspect(x, func(n ast.Node) bool {
					lit, ok := n.(*ast.BasicLit)
					if !ok || lit.Kind != token.STRING {
						return true
					}
					text, _ := strconv.Unquote(lit.Value)
					if !settings.MatchString(text) {
						return true
					}
					found++
					if got := policy.Words(text); settings.MatchString(got) {
						t.Errorf("%s:%d: policies have no settings of scripts, but show: %s", file.path, file.line(lit.Pos()), got)
					}
					return true
				})
			}
			return true
		})
	}
	if found < 7 {
		t.Errorf("%d texts found, there are more", found)
	}
}

// hintTexts returns the expressions of n that become hints, or messages of the runtime.
func hintTexts(n ast.Node) []ast.Expr {
	named := func(x ast.Expr) bool {
		switch x := x.(type) {
		case *ast.Ident:
			return x.Name == "hint" || x.Name == "Hint" || x.Name == "msg"
		case *ast.SelectorExpr:
			return x.Sel.Name == "Hint"
		}
		return false
	}
	switch n := n.(type) {
	case *ast.AssignStmt:
		for _, x := range n.Lhs {
			if named(x) {
				return n.Rhs
			}
		}
	case *ast.KeyValueExpr:
		if named(n.Key) {
			return []ast.Expr{n.Value}
		}
	case *ast.CallExpr:
		name := calledName(n)
		if strings.EqualFold(name, "ErrorHint") {
			return n.Args
		}
	}
	return nil
}
