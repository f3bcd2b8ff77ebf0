from hypothesis import given
from hypothesis import strategies as st

from enecg.formats._shown import shown


@given(st.lists(st.text(max_size=60)))
def test_few_names_are_all_told_and_many_are_counted(names):
    told = shown(names)
    assert len(told) <= 12 * 45 + 20
    if not names:
        assert told == "none"
    elif len(names) <= 12 and max(map(len, names)) <= 40:
        assert told == ", ".join(names) or not "".join(names)
    else:
        assert "..." in told or told.endswith(f" and {len(names) - 12} more")
