"""Raw records in; RTA, RPA, lost writes, gaps and verdict out. Pure, standard library only."""
