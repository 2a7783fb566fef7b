package builtins

func be32() *Def { return byteReader("be32", 4, true) }
