#include "types.h"

__attribute__((noipa)) int work(struct node *n, enum colour c, pair *q)
{
	return n->in.a + c + q->s2;
}

int main(void)
{
	struct node n = {&n, {11, 22}, green, {33}, {1, 2, 3}, 5};
	pair q = {66, 77};
	return work(&n, green, &q) + other(&n, &q) == 0;
}
