// The function outer is inlined, and has a lambda with code of its own.
extern "C" __attribute__((noipa)) int leaf(int x)
{
	return x + 1;
}

static inline __attribute__((always_inline)) int outer(int x)
{
	auto f = [](int y) __attribute__((noipa)) {
		return leaf(y) + 2;
	};
	return f(x) + 3;
}

int main(int argc, char **)
{
	return outer(argc) == 0;
}
