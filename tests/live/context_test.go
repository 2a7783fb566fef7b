package live

import (
	"strings"
	"testing"
)

// TestContext reads the registers of perf events as a whole, in parts and through other
// types. Programs can read them only by single loads, which the kernel replaces: the
// memory has other contents.
func TestContext(t *testing.T) {
	needRoot(t)
	for _, c := range []struct{ name, same string }{
		{"members", `ctx.regs.ip == reg("ip")`},
		{"struct in a variable", `{ $c = *ctx; $c.regs.ip == reg("ip") && $c.sample_period == ctx.sample_period }`},
		{"member in a variable", `{ $r = ctx.regs; $r.ip == reg("ip") && $r.sp == reg("sp") }`},
		{"struct in a map", `{ @c[cpu] = *ctx; $ip = @c[cpu].regs.ip; $ip == reg("ip") }`},
		{"struct in a tuple", `{ $t = (*ctx, 1); $t.0.regs.ip == reg("ip") }`},
		{"pointer in a tuple", `{ $t = (ctx, 1); $t.0.regs.ip == reg("ip") }`},
		{"pointer to a member's type", `{ $r = (struct pt_regs *)ctx; $r->ip == reg("ip") }`},
		{"one of two pointers", `{ $p = pid == 1 ? (uint64 *)ctx : (uint64 *)ctx; $p[0] == reg("r15") }`},
		{"parameter", `ip(*ctx) == reg("ip")`},
		{"bytes", `{ $b = (uint8 *)ctx; $b[3] == (uint8)(reg("r15") >> 24) && $b[8] == (uint8)reg("r14") }`},
		{"halves", `{ $h = (int16 *)ctx; $h[1] == (int16)(reg("r15") >> 16) && $h[7] == (int16)(reg("r14") >> 48) }`},
		{"parts", `{ $p = (struct part *)ctx; $p->a == (int32)reg("r15") && $p->b == (int16)(reg("r15") >> 32) && $p->d == ((reg("r14") >> 2) & 7) }`},
		{"copy of parts", `{ $p = *(struct part *)ctx; $p.a == (int32)reg("r15") && $p.b == (int16)(reg("r15") >> 32) && $p.d == ((reg("r14") >> 2) & 7) }`},
		{"array", `{ $a = ((struct part *)ctx)->e; $a[1] == (int16)(reg("r13") >> 16) }`},
	} {
		t.Run(c.name, func(t *testing.T) {
			prog := `
struct part { int a; short b; char c[2]; unsigned gap:2; unsigned d:3; int pad; short e[2]; };
config = { print_maps_on_exit=false }
fn ip($c : struct bpf_perf_event_data) : uint64 { return $c.regs.ip; }
software:cpu-clock:1000000 { print(SAME); exit(); }`
			if !strings.Contains(c.same, "ip(*ctx)") {
				prog = strings.Replace(prog, "fn ip", "// fn ip", 1)
			}
			r := trace(t, "-q", "-e", strings.Replace(prog, "SAME", c.same, 1))
			r.quiet(t)
			// Each CPU can run the block once before all stop.
			if got := strings.TrimSpace(r.stdout); strings.ReplaceAll(strings.ReplaceAll(got, "true", ""), "\n", "") != "" || got == "" {
				t.Errorf("%s, want true", got)
			}
		})
	}
}
