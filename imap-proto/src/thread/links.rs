//! Who is whose parent while links are made and broken.

use alloc::vec::Vec;

use super::forest::NONE;

/// So many steps towards the root are looked at before the other structure is asked.
const STEPS: usize = 16;

/// A forest in which links are made, broken, and asked about, each in logarithmic time on average whatever its shape.
///
/// Beside the plain links it keeps every tree as paths, and each path as a search tree by depth that is rotated at every question
/// (Sleator and Tarjan's dynamic trees, without the parts that change roots). A walk to the root would be simpler, and
/// would take quadratic time where messages are made for that.
pub(super) struct Links {
    parents: Vec<u32>,
    /// Whether anything is below it.
    children: Vec<u32>,
    /// In the search tree of its path, or (of that tree's top) the node that the path hangs below.
    up: Vec<u32>,
    /// Nearer the root, and farther from it.
    sides: Vec<[u32; 2]>,
}

impl Links {
    pub(super) fn new(len: usize) -> Self {
        Links {
            parents: alloc::vec![NONE; len],
            children: alloc::vec![0; len],
            up: alloc::vec![NONE; len],
            sides: alloc::vec![[NONE; 2]; len],
        }
    }

    pub(super) fn parent(&self, node: u32) -> u32 {
        self.parents[node as usize]
    }

    pub(super) fn into_parents(self) -> Vec<u32> {
        self.parents
    }

    /// Makes one the parent of another that has none, unless that would close a circle.
    pub(super) fn link(&mut self, parent: u32, child: u32) {
        if parent == child || (self.children[child as usize] > 0 && self.is_below(parent, child)) {
            return;
        }
        self.parents[child as usize] = parent;
        self.children[parent as usize] += 1;
        // The root of its tree is the first of its path: with it on top nothing hangs on its near side.
        self.splay(child);
        self.up[child as usize] = parent;
    }

    /// Breaks the link to the parent, if there is one.
    pub(super) fn cut(&mut self, child: u32) {
        let parent = core::mem::replace(&mut self.parents[child as usize], NONE);
        if parent == NONE {
            return;
        }
        self.children[parent as usize] -= 1;
        self.access(child);
        let above = core::mem::replace(&mut self.sides[child as usize][0], NONE);
        if above != NONE {
            self.up[above as usize] = NONE;
        }
    }

    /// Whether a node is in the tree of this root.
    fn is_below(&mut self, node: u32, root: u32) -> bool {
        let mut at = node;
        for _ in 0..STEPS {
            #[cfg(test)]
            crate::steps::count(1);
            match self.parents[at as usize] {
                NONE => return at == root,
                above => at = above,
            }
        }
        self.root(node) == root
    }

    fn root(&mut self, node: u32) -> u32 {
        self.access(node);
        let mut at = node;
        while self.sides[at as usize][0] != NONE {
            #[cfg(test)]
            crate::steps::count(1);
            at = self.sides[at as usize][0];
        }
        self.splay(at);
        at
    }

    /// Makes the way from the root to a node one path, with the node on top of its search tree and nothing behind it.
    fn access(&mut self, node: u32) {
        let (mut at, mut below) = (node, NONE);
        while at != NONE {
            #[cfg(test)]
            crate::steps::count(1);
            self.splay(at);
            self.sides[at as usize][1] = below;
            (below, at) = (at, self.up[at as usize]);
        }
        self.splay(node);
    }

    /// On which side of what is above it a node is; none if it is the top of its path.
    fn side(&self, node: u32) -> Option<usize> {
        let above = self.up[node as usize];
        if above == NONE { None } else { self.sides[above as usize].iter().position(|side| *side == node) }
    }

    fn splay(&mut self, node: u32) {
        while let Some(side) = self.side(node) {
            let above = self.up[node as usize];
            match self.side(above) {
                Some(other) if other == side => self.rotate(above, other),
                Some(_) => self.rotate(node, side),
                None => {}
            }
            if let Some(side) = self.side(node) {
                self.rotate(node, side);
            }
        }
    }

    /// Puts a node in the place of what is above it, on whose `side` it is.
    fn rotate(&mut self, node: u32, side: usize) {
        #[cfg(test)]
        crate::steps::count(1);
        let above = self.up[node as usize];
        let top = self.up[above as usize];
        if let Some(place) = self.side(above) {
            self.sides[top as usize][place] = node;
        }
        let between = core::mem::replace(&mut self.sides[node as usize][1 - side], above);
        self.sides[above as usize][side] = between;
        if between != NONE {
            self.up[between as usize] = above;
        }
        self.up[above as usize] = node;
        self.up[node as usize] = top;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]
        #[test]
        fn no_circle_is_closed_and_no_other_link_refused(steps in proptest::collection::vec((0..60u32, 0..60u32, any::<bool>()), 0..400)) {
            let mut links = Links::new(60);
            let mut plain = [NONE; 60];
            for (parent, child, again) in steps {
                if again {
                    links.cut(child);
                    plain[child as usize] = NONE;
                }
                if plain[child as usize] == NONE {
                    links.link(parent, child);
                    let mut at = parent;
                    while at != NONE && at != child {
                        at = plain[at as usize];
                    }
                    if at == NONE {
                        plain[child as usize] = parent;
                    }
                }
                prop_assert_eq!(&links.parents[..], &plain[..]);
                for node in 0..60 {
                    let mut root = node;
                    while plain[root as usize] != NONE {
                        root = plain[root as usize];
                    }
                    prop_assert_eq!(links.root(node), root);
                }
            }
        }
    }
}
