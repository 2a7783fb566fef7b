package builtins

func be16() *Def { return byteReader("be16", 2, true) }
