package mtlsallowlist

// dueGrants is a heap.Interface, the grant that is due first on top.
type dueGrants []*grant

func (d dueGrants) Len() int           { return len(d) }
func (d dueGrants) Less(i, j int) bool { return d[i].due < d[j].due }

func (d dueGrants) Swap(i, j int) {
	d[i], d[j] = d[j], d[i]
	d[i].position = i
	d[j].position = j
}

func (d *dueGrants) Push(x any) {
	g := x.(*grant)
	g.position = len(*d)
	*d = append(*d, g)
}

func (d *dueGrants) Pop() any {
	last := len(*d) - 1
	g := (*d)[last]
	(*d)[last] = nil
	*d = (*d)[:last]
	return g
}
