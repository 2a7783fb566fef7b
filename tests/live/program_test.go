package live

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/gotrace/gotrace/probes/kernel"
	"github.com/gotrace/gotrace/runtime"
	"github.com/gotrace/gotrace/runtime/output"
)

// TestPrograms runs random scripts and compares their output with the expected
// output. GOTRACE_SEEDS=FROM-TO selects the seeds.
func TestPrograms(t *testing.T) {
	if *peer {
		t.Skip("it is about our own compiler")
	}
	needRoot(t)
	from, to := int64(0), int64(60)
	switch {
	case testing.Short():
		to = 15
	case *thorough:
		to = 200
	}
	if s := os.Getenv("GOTRACE_SEEDS"); s != "" {
		if _, err := fmt.Sscanf(s, "%d-%d", &from, &to); err != nil {
			t.Fatal(err)
		}
	}
	k := kernel.Live()
	small := release().less(version{5, 19})
	ran := int64(0)
	for seed := from; seed < to; seed++ {
		text, want := randomScript(seed, small)
		got, err := runScript(t, k, text)
		switch {
		case err == nil && got == want:
			ran++
		case err == nil:
			t.Errorf("seed %d:\n%s\nprinted:\n%s\nwant:\n%s", seed, text, got, want)
		case tooLarge(err):
			t.Logf("seed %d: %s", seed, firstLine(err))
		default:
			t.Errorf("seed %d:\n%s\n%v", seed, text, err)
		}
	}
	if ran < (to-from)/2 {
		t.Errorf("only %d of %d scripts ran", ran, to-from)
	}
}

// runScript compiles, loads and runs a script that ends by itself.
func runScript(t *testing.T, k *kernel.Kernel, text string) (string, error) {
	t.Helper()
	obj, diags := compile(t, k, text)
	if obj == nil {
		var b strings.Builder
		for _, d := range diags {
			b.WriteString(d.Render())
		}
		return "", errors.New(b.String())
	}
	var out bytes.Buffer
	s, err := runtime.Load(obj, runtime.Setup{Sink: output.NewText(output.NewWriter(&out, output.Line), &bytes.Buffer{}, output.Style{}), Verbose: true})
	if err != nil {
		return "", err
	}
	defer s.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := s.Run(ctx); err != nil {
		return "", err
	}
	return strings.Trim(out.String(), "\n") + "\n", nil
}

// tooLarge reports whether the kernel or gotrace refused a script for its size.
func tooLarge(err error) bool {
	for _, s := range []string{"too large", "is too complex", "BPF program is too", "combined stack size"} {
		if strings.Contains(err.Error(), s) {
			return true
		}
	}
	return errors.Is(err, ebpf.ErrNotSupported)
}
