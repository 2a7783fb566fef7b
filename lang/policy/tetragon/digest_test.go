package tetragon

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gotrace/gotrace/lang/policy"
	"github.com/gotrace/gotrace/lang/source"
)

// TestDigests translates uprobes of a file with right and wrong digests.
func TestDigests(t *testing.T) {
	k := frozen(t)
	file := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(file, []byte("text"), 0o700); err != nil {
		t.Fatal(err)
	}
	is, other := fmt.Sprintf("%x", sha256.Sum256([]byte("text"))), strings.Repeat("0", 64)
	for _, c := range []struct{ digests, want string }{
		{"", ""}, {is, ""}, {"sha256:" + is, ""}, {"SHA256:" + strings.ToUpper(is), ""}, {other + ", " + is, ""},
		{other, "the digest of '" + file + "' is sha256:" + is + ", which is not among those of the policy"},
		{"sha1:da39a3ee", "'sha1:da39a3ee' is not a digest of SHA-256, such as sha256:" + is},
	} {
		var diags source.Diags
		spec := "  uprobes:\n  - path: " + file + "\n    symbols: [f]\n    binaryDigests: [" + c.digests + "]\n"
		Translate(documents(policyWith(spec), &diags), &Machine{Namespaces: InitialNamespaces()}, &policy.Terms{Kernel: k}, &diags)
		got := ""
		for _, d := range diags.All() {
			got += d.Msg
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.digests, got, c.want)
		}
	}
}
