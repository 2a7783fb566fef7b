#include "types.h"

struct only {
	int z;
	struct node *back;
};

__attribute__((noipa)) int deep(struct only *o)
{
	return o->z + o->back->in.a;
}

__attribute__((noipa)) int other(struct node *p, pair *q)
{
	struct only o = {88, p};
	return deep(&o) + q->s1;
}
