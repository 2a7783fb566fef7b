package builtins

func be64() *Def { return byteReader("be64", 8, true) }
